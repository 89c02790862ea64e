//! The rules of preset `bi-dashboards` (CV), by theme.

mod cast;
mod dashboards;
mod groups;
mod people;
mod shown;
