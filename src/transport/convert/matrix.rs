//! Matrices of grants, and the lists of principals and places that they are made of.

use std::collections::HashSet;
use std::hash::Hash;

use super::grant::{assignment, principal};
use super::resource_key;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fields::all;
use crate::domain::grant::assignment::{Act, Assignment};
use crate::domain::grant::matrix::Matrix;
use crate::domain::place::{Place, Principal};
use crate::proto;
use crate::proto::grant_matrix::Act as ProtoAct;

/// Most rows, and most columns.
const NAMED_MAX: usize = 100;

/// Reads one matrix.
///
/// # Errors
/// - [`Reason::OutOfRange`], [`Reason::FieldRequired`], and what its principals and resources are refused with.
pub fn matrix(field: &str, matrix: &proto::GrantMatrix) -> Result<Matrix, Error> {
    let act = match &matrix.act {
        Some(ProtoAct::Grant(it)) => held(&format!("{field}.grant"), it).map(|it| (Act::Grant, it)),
        Some(ProtoAct::Revoke(it)) => {
            let it = proto::Assignment { expire_time: None, ..it.clone() };
            held(&format!("{field}.revoke"), &it).map(|it| (Act::Revoke, it))
        }
        None => Err(Error::invalid(format!("{field}.act"), Reason::FieldRequired, "is required")),
    };
    let ((principals, places), (act, Assignment { held, expires_at, .. })) =
        all((named(field, &matrix.principals, &matrix.resources), act))?;
    Ok(Matrix { principals, places, held, expires_at, act })
}

/// Reads from 1 to 100 principals and at most 100 resources, each named once; without a resource, the organization.
///
/// # Errors
/// - [`Reason::OutOfRange`], [`Reason::FieldRequired`], and what they are refused with.
pub fn named(
    field: &str,
    principals: &[proto::Principal],
    resources: &[proto::ResourceRef],
) -> Result<(Vec<Principal>, Vec<Place>), Error> {
    let path = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    let mut violations = Violations::default();
    let (rows, columns) = (path("principals"), path("resources"));
    if principals.is_empty() || principals.len() > NAMED_MAX {
        violations.add(&rows, Reason::OutOfRange, format!("must be from 1 to {NAMED_MAX}"));
    }
    if resources.len() > NAMED_MAX {
        violations.add(&columns, Reason::OutOfRange, format!("must be at most {NAMED_MAX}"));
    }
    violations.finish()?;

    let mut violations = Violations::default();
    let principals = read_each(&rows, principals, &mut violations, |field, it| principal(field, Some(it)))?;
    let place = |field: &str, it: &proto::ResourceRef| resource_key(field, it).map(Place::Resource);
    let mut places = read_each(&columns, resources, &mut violations, place)?;
    must_differ(&rows, &principals, &mut violations);
    must_differ(&columns, &places, &mut violations);
    violations.finish()?;
    if places.is_empty() {
        places.push(Place::Organization);
    }
    Ok((principals, places))
}

/// Reads each message of a list, the violations of each under its own index.
///
/// # Errors
/// Passes on what is not about wrong fields.
pub fn read_each<M, T>(
    field: &str,
    messages: &[M],
    violations: &mut Violations,
    read: impl Fn(&str, &M) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut items = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        items.extend(violations.take(read(&format!("{field}[{index}]"), message))?);
    }
    Ok(items)
}

fn must_differ<T: Eq + Hash>(field: &str, items: &[T], violations: &mut Violations) {
    let mut seen = HashSet::new();
    if let Some(index) = items.iter().position(|item| !seen.insert(item)) {
        violations.add(format!("{field}[{index}]"), Reason::OutOfRange, "is named twice");
    }
}

/// Reads what is held everywhere.
fn held(field: &str, message: &proto::Assignment) -> Result<Assignment, Error> {
    if message.resource.is_some() {
        let message = "must be absent: the matrix names the places";
        return Err(Error::invalid(format!("{field}.resource"), Reason::OutOfRange, message));
    }
    assignment(field, message)
}
