//! Checks: answered from the index, at one pair of revisions.

use crate::authz::{Answer, Questions, Requirement, View, may_ask};
use crate::domain::error::Error;
use crate::domain::id::OrganizationId;
use crate::service::{Context, Services};

/// Answers to some questions, all at one view.
#[derive(Debug)]
pub struct Checked {
    pub answers: Vec<Answer>,
    /// What they were computed on.
    pub view: View,
}

impl Services {
    /// Answers checks. About oneself everyone may ask, about others access.check is needed.
    ///
    /// # Errors
    /// - [`NotFound`](crate::domain::error::Reason::NotFound) for an organization that the caller does not see.
    /// - [`PermissionMissing`](crate::domain::error::Reason::PermissionMissing).
    /// - What [`Engine::view`](crate::authz::Engine::view) fails with.
    pub async fn check(
        &self,
        context: &Context,
        organization: OrganizationId,
        questions: &(impl Questions + Sync),
        requirement: Requirement,
    ) -> Result<Checked, Error> {
        let caller = context.subject()?;
        let view = self.engine.view(organization, requirement, caller).await?;
        if let Err(error) = may_ask(&view, caller, questions.asked()) {
            return Err(self.refusal(organization, requirement, caller, error).await);
        }
        context.note(organization, view.now());
        let mut answers = Vec::with_capacity(questions.count());
        view.answer_all(questions.asked(), |answer| answers.push(answer));
        Ok(Checked { answers, view })
    }
}
