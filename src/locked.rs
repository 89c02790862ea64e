//! Returns whether a transaction holds an organization's lock, so that what is slow can refuse to run under it.
//!
//! Between begin and commit only the database is awaited: every writer of the organization waits for whoever holds its
//! head, so a password hash or a mail server's answer there would stop them all. `store` or `service` marks that time
//! with [`hold`]; the hasher, the mailer and every outside client ask with [`forbid`]. A leaf: it imports none of ours.

use std::future::Future;

tokio::task_local! {
    static HELD: ();
}

/// Runs `f`, marked as what happens between begin and commit.
///
/// The mark follows the task, not what it spawns.
pub async fn hold<F: Future>(f: F) -> F::Output {
    HELD.scope((), f).await
}

/// Refuses to go on inside [`hold`]; `what` names who asks.
///
/// # Panics
/// In builds with debug assertions, if called inside [`hold`]: such a call is a bug that only costs time, so that tests
/// must find it and production must not fall over it.
pub fn forbid(what: &str) {
    if cfg!(debug_assertions) {
        assert!(HELD.try_with(|()| ()).is_err(), "{what} was called between begin and commit");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn outside_a_transaction_nothing_is_forbidden() {
        forbid("the test");
        hold(async {}).await;
        forbid("the test");
    }

    #[tokio::test]
    #[cfg_attr(debug_assertions, should_panic(expected = "the test was called between begin and commit"))]
    async fn inside_a_transaction_it_panics() {
        hold(async {
            tokio::task::yield_now().await;
            forbid("the test");
        })
        .await;
    }

    #[tokio::test]
    async fn a_spawned_task_is_not_inside() {
        hold(async {
            tokio::spawn(async { forbid("the test") }).await.expect("no panic");
        })
        .await;
    }
}
