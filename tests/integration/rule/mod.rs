//! The rule of access, held against what its text says.
//!
//! [`twin`] says the rule a second time, naively, from its text alone and over a plain [`worlds::World`]; [`histories`]
//! makes such worlds from a seed and moves them on, step by step. [`properties`] asks both about everything in many
//! worlds, [`cases`] asks what is easily got wrong, by hand. A new kind of fact is a new [`histories::Kind`] of step; a
//! rule that was misread is a new case.
//!
//! A failure names its seed, and `History::new(seed)` is that world again. `GUILDHALL_SOAK=20` asks in twenty times as
//! many worlds.

mod cases;
pub mod catalogs;
mod explain;
pub mod facts;
mod gifts;
pub mod histories;
pub mod index;
mod properties;
pub mod rng;
mod scene;
pub mod twin;
pub mod worlds;
