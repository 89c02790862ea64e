//! The sweep of what has lapsed: without a lock and without a fact, each table by its own file.

use super::Store;
use crate::domain::error::Error;

impl Store {
    /// Deletes what has lapsed: answers to request ids, sessions a day past their end, refused tries, devices, counts of mails, who was
    /// barred from links that have lapsed.
    pub async fn lapsed_delete(&self) -> Result<(), Error> {
        let now = self.env.now();
        self.replays_forget(now).await?;
        self.sessions_forget(now).await?;
        self.bars_forget(now).await?;
        self.refusals_forget(now).await?;
        self.devices_forget(now).await?;
        self.mail_counts_forget(now).await
    }
}
