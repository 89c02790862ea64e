//! Grants: what can be held where, by how many, and what a change of it comes to.

pub mod assignment;
pub mod cardinality;
pub mod matrix;
