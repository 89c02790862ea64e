//! One module per preset, one test per rule id: each asserts the permitted and the refused side, the reason, and what must
//! not have happened. [`conflicts`] holds what the products disagree on, each under the presets that do.

mod analytics_workspace;
mod bi_dashboards;
mod conflicts;
mod disaster_recovery;
mod msp_monitoring;
mod shown;
mod task_automation;
pub mod tenant;
