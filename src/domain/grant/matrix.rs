//! Members × places: one thing given to, or taken from, several at several places (CE-24).

use crate::domain::fact::Held;
use crate::domain::grant::assignment::{Act, Assignment, Delta};
use crate::domain::place::{Place, Principal};
use crate::domain::time::Timestamp;

/// Most deltas that one batch comes to, the cells of its matrices included.
pub const CELLS_MAX: usize = 1_000;

/// One act on every pair of a principal and a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matrix {
    /// The rows.
    pub principals: Vec<Principal>,
    /// The columns.
    pub places: Vec<Place>,
    /// What is given or taken.
    pub held: Held,
    /// From then on it counts no more.
    pub expires_at: Option<Timestamp>,
    /// Which of the two.
    pub act: Act,
}

impl Matrix {
    /// Counts its cells.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.principals.len().saturating_mul(self.places.len())
    }

    /// Returns a delta for each cell, row by row.
    pub fn deltas(&self) -> impl Iterator<Item = Delta> {
        let cells =
            self.principals.iter().flat_map(|principal| self.places.iter().map(move |place| (principal, place)));
        cells.map(|(principal, place)| Delta {
            principal: *principal,
            assignment: Assignment { place: place.clone(), held: self.held.clone(), expires_at: self.expires_at },
            act: self.act,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::place::ResourceKey;

    #[test]
    fn a_matrix_has_a_delta_for_each_pair_row_by_row() {
        let member = |number| Principal::Membership(uuid::Uuid::from_u128(number).into());
        let place = |id: &str| Place::Resource(ResourceKey { kind: "crate".into(), id: id.into() });
        let matrix = Matrix {
            principals: vec![member(1), member(2)],
            places: vec![place("a"), place("b"), place("c")],
            held: Held::AsMember,
            expires_at: None,
            act: Act::Revoke,
        };
        let pairs: Vec<_> = matrix.deltas().map(|delta| (delta.principal, delta.assignment.place)).collect();
        let row = |number| [place("a"), place("b"), place("c")].map(|place| (member(number), place));
        assert_eq!(pairs, [row(1), row(2)].concat());
        assert_eq!(pairs.len(), matrix.cells());
        assert!(matrix.deltas().all(|delta| delta.act == Act::Revoke && delta.assignment.held == Held::AsMember));
    }
}
