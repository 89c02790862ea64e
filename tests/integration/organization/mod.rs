//! Organizations: how many may sit in one.

mod seats;
