//! Organizations: created with their founder invited, shown, changed, and how many seats they have.

mod create;
mod read;
mod seats;
mod update;

pub use create::{CreateOrganization, CreatedOrganization};
pub use read::{GetOrganization, OrganizationName, OrganizationView};
pub use seats::{GetSeats, SetSeatLimit};
pub use update::{OrganizationFields, UpdateOrganization};
