//! Credentials: how a user signs in, and what is remembered of every credential that calls.

mod bearers;
mod presented;
mod sign_in;

pub use bearers::commit;
