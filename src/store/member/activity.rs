//! When members were last active.

use sea_orm::{ConnectionTrait, Statement};

use super::statement::Text;
use crate::domain::error::Error;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::time::Timestamp;
use crate::store::Store;

/// Most people of whom one statement writes that they were active: SQLite takes expressions of at most 1,000 terms.
const ACTIVE_MAX: usize = 200;

impl Store {
    /// Writes that some users were active at an instant, in an organization or in all of theirs where they are ACTIVE. What
    /// is written is never earlier than what was.
    pub async fn members_active(&self, who: &[(UserId, Option<OrganizationId>)], at: Timestamp) -> Result<(), Error> {
        for some in who.chunks(ACTIVE_MAX) {
            let mut text = Text::default();
            let at = text.bind(at.as_micros());
            let places: Vec<String> = some
                .iter()
                .map(|(user, organization)| match organization {
                    Some(id) => {
                        format!("(organization_id = {} and user_id = {})", text.bind(id.0), text.bind(user.0))
                    }
                    None => format!("user_id = {}", text.bind(user.0)),
                })
                .collect();
            let sql = format!(
                "update memberships set last_active_at = {at} where last_active_at < {at} and state = 'active' \
                 and ({})",
                places.join(" or "),
            );
            let statement = Statement::from_sql_and_values(self.writer.get_database_backend(), sql, text.values);
            self.writer.execute_raw(statement).await?;
        }
        Ok(())
    }
}
