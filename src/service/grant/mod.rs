//! Granting and revoking: one atomic batch of deltas, under the ceiling over the whole result; listing what is held.

mod change;
mod installation;
mod list;
mod share;

pub use change::ChangeGrants;
pub use installation::{ChangeInstallationGrants, InstallationChanged, InstallationDelta};
pub use list::{ListGrants, SummarizeGrants, Summary};
pub use share::ShareResource;
