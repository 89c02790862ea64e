//! The rules of preset `disaster-recovery` (CE), by theme.

mod account;
mod invitations;
mod people;
mod projects;
mod roles;
