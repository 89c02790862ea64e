//! Applying changes one by one in a large organization, while its overlay fills and folds (P7).

use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall::authz::Requirement;
use guildhall::domain::fact::{Grant, GrantSource, Held, OrganizationFact};
use guildhall::domain::id::{GrantId, MembershipId};
use guildhall::domain::place::{Place, Principal, ResourceKey, Subject};
use uuid::Uuid;

use crate::organizations::{CALLER, Organizations, engine_over};
use crate::shape::{KIND, Shape, scramble};
use crate::{Failure, heading, percentile, row, text};

/// So many folds are seen.
const FOLDS: u64 = 3;

/// Prints how long an apply takes, publication included.
pub async fn report(shape: Shape) -> Result<(), Failure> {
    let source = Arc::new(Organizations::new(shape));
    let engine = engine_over(Arc::clone(&source)).await?;
    let organization = Shape::organization(0);
    engine.view(organization, Requirement::MaxAge(None), Subject::ServiceAccount(CALLER)).await?;
    let members: Vec<MembershipId> = shape
        .facts(0)
        .into_iter()
        .filter_map(|fact| match fact {
            OrganizationFact::Membership { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    let draw = |number: u64, count: usize| usize::try_from(scramble(number) % count as u64).unwrap_or(0);

    let (mut samples, mut number) = (Vec::new(), 0_u64);
    while engine.compactions() < FOLDS {
        number += 1;
        let resource = u32::try_from(scramble(number ^ 0x5eed) % u64::from(shape.resources))?;
        let key = ResourceKey { kind: KIND.into(), id: shape.resource(0, resource).into() };
        let grant = Grant {
            id: GrantId(Uuid::from_u128(u128::from(number))),
            principal: Principal::Membership(members[draw(number, members.len())]),
            place: Place::Resource(key),
            held: Held::AsMember,
            expires_at: None,
            source: GrantSource::Manual,
        };
        let position = source.commit(organization, vec![OrganizationFact::Grant(grant)]);
        let began_at = Instant::now();
        engine.committed(Some((organization, position)), None).await;
        samples.push(began_at.elapsed());
    }
    heading(&format!(
        "applying: {} memberships, {} resources; {number} grants one by one, {FOLDS} folds meanwhile",
        shape.members, shape.resources
    ));
    row("one apply, p50", &text(percentile(&mut samples, 0.5)), "", "");
    row("one apply, p99", &text(percentile(&mut samples, 0.99)), "", "≤ 100 µs");
    row("one apply, p99.9", &text(percentile(&mut samples, 0.999)), "", "");
    row("one apply, the slowest", &text(percentile(&mut samples, 1.0)), "", "≤ 1 ms");
    let late = samples.iter().filter(|sample| **sample > Duration::from_millis(1)).count();
    row("applies that took more than 1 ms", &late.to_string(), "", "0");
    Ok(())
}
