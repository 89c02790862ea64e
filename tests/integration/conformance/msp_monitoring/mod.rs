//! The rules of preset `msp-monitoring` (CM), by theme.

mod accounts;
mod claims;
mod invitations;
mod people;
mod shown;
mod subscription;
