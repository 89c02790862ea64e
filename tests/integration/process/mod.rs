//! The binary as it is run: started, refused, stopped, killed.
//!
//! [`program`] starts it and reads what it says; nothing here looks behind the command line, the ports and the data.

mod catalogs;
mod clocks;
mod crash;
mod files;
mod first_start;
pub mod program;
mod refusals;
mod secrets;
mod settings;
mod starts;
mod stops;
mod traces;
