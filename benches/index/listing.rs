//! Lists for callers who see a few resources among many that are hidden from them, and for one who sees them all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall::authz::{Requirement, View, Viewer};
use guildhall::domain::place::Subject;
use guildhall::domain::resource::Under;

use crate::organizations::{CALLER, Organizations, engine_over};
use crate::shape::{KIND, Shape, scramble};
use crate::{Failure, heading, percentile, row, text};

/// How many there are of what nearly everybody sees six of: on their own list, and on those of their five groups.
const RESOURCES: [u32; 3] = [400, 4_000, 400_000];
/// How many of them a page shows at the most.
const PAGE: usize = 100;
/// Pages of each kind.
const PAGES: u64 = 5_000;

/// Prints what a page costs beside the same page where less is hidden.
pub async fn report() -> Result<(), Failure> {
    heading(&format!("lists: pages of {PAGE}, at 1,000 members in 5 groups each"));
    let mut first: Option<[Duration; 3]> = None;
    for resources in RESOURCES {
        let shape = Shape { organizations: 1, members: 1_000, groups: 20, groups_each: 5, resources, depth: 1 };
        let engine = engine_over(Arc::new(Organizations::new(shape))).await?;
        let caller = Subject::ServiceAccount(CALLER);
        let view = engine.view(Shape::organization(0), Requirement::MaxAge(None), caller).await?;
        let member = |number| Subject::User(Shape::user(0, (scramble(number) % 1_000) as u32));
        let times = [
            median(|number| listed(&view, member(number))),
            median(|number| proposed(&view, member(number))),
            median(|_| proposed(&view, caller)),
        ];
        let before = *first.get_or_insert(times);
        let names = ["ListResources of oneself", "BrowseResources, proposed", "the same for who sees all"];
        for ((name, time), before) in names.iter().zip(times).zip(before) {
            let ratio = time.as_secs_f64() / before.as_secs_f64();
            row(&format!("{name}, among {resources}"), &text(time), &format!("{ratio:.2}"), "");
        }
    }
    Ok(())
}

/// Measures pages, each of another caller, and returns what the one in the middle took.
fn median(page: impl Fn(u64) -> usize) -> Duration {
    let mut samples: Vec<Duration> = (0..PAGES)
        .map(|number| {
            let began_at = Instant::now();
            std::hint::black_box(page(number));
            began_at.elapsed()
        })
        .collect();
    percentile(&mut samples, 0.5)
}

fn listed(view: &View, subject: Subject) -> usize {
    let catalog = view.organization.catalog();
    let (kind, _) = catalog.resource_type(KIND).expect("a type of the preset");
    let permission = catalog.permission("project.view").expect("a permission of the preset");
    let viewer = Viewer { subject, may_check: false };
    view.resources((subject, None), permission, kind, viewer, (None, PAGE)).items.len()
}

fn proposed(view: &View, subject: Subject) -> usize {
    let seen = view.seen(subject);
    view.organization.candidates((&seen, &seen), &Under::Anything, None, None, PAGE + 1).keys.len()
}
