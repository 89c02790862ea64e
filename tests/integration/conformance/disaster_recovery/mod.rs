//! The rules of preset `disaster-recovery` (CE), by theme.

mod account;
mod assigning;
mod invitations;
mod ownership;
mod people;
mod projects;
mod roles;
mod shown;
