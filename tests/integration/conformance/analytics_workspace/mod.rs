//! The rules of preset `analytics-workspace` (AX), by theme.

mod disabling;
mod list;
mod people;
mod removing;
mod roles;
mod schedules;
mod seats;
mod sharing;
mod shown;
mod workspace;
