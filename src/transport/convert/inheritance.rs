//! What a move brings and takes.

use super::principal_out;
use crate::domain::fact::Held;
use crate::domain::resource::inheritance::{Inherited, InheritedBy};
use crate::proto;
use crate::proto::inherited::By;

/// Writes what somebody has on a resource by what it stands under.
pub fn inherited(inherited: Inherited) -> proto::Inherited {
    let by = match inherited.by {
        InheritedBy::Grant(Held::Role(role)) => By::Role(role.to_string()),
        InheritedBy::Grant(Held::AsMember) => By::AsMember(proto::AsMember {}),
        InheritedBy::Ownership => By::Ownership(proto::Ownership {}),
    };
    proto::Inherited { principal: Some(principal_out(inherited.principal)), by: Some(by) }
}
