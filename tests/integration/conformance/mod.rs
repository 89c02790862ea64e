//! One file per preset, one test per rule id: each asserts the permitted and the refused side, the reason, and what must
//! not have happened.

mod disaster_recovery;
