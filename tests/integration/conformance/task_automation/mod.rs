//! The rules of preset `task-automation` (TE), by theme.

mod cast;
mod lists;
mod notifications;
mod people;
mod profiles;
mod roles;
mod shown;
