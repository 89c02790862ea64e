//! The one rule of access, and the ceiling over what people may give and take.
//!
//! Written to be read: [`decide()`] authorizes every write, and is what the index is held against. Nothing takes away:
//! adding a grant, an owner, a group member or a resource never loses anyone an access.

mod ceiling;
mod decide;
mod explain;
mod facts;
mod joining;
mod moving;
mod oneself;
mod unseen;

pub use ceiling::{
    gains_nothing, gains_nothing_by_moving, gains_nothing_by_owning, may_give, may_shape, may_take, may_take_role,
    may_touch,
};
pub use decide::{Decision, decide, is_visible, on_the_list};
pub use explain::{AllowedBy, Explanation, Missing, Way, explain};
pub use facts::{Actor, Facts, Node, Standing};
pub use joining::plan_joining;
pub use moving::{Move, may_carry_out, may_let_in, may_move, may_shut_out};
pub use oneself::{may_do_to, may_take_from};
pub use unseen::{must_see_all, must_see_all_held_as, must_see_all_held_by};
