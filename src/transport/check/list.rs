//! The lists of `AuthorizationService`: `ListPermissions`, `ListResources`, `ListSubjects`.

use std::sync::Arc;

use super::Authorization;
use crate::domain::error::{Error, Reason};
use crate::domain::fields::all;
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
use crate::proto;
use crate::proto::{
    ListPermissionsRequest, ListPermissionsResponse, ListResourcesRequest, ListResourcesResponse, ListSubjectsRequest,
    ListSubjectsResponse,
};
use crate::service::{ListResources, ListSubjects};
use crate::transport::convert::{
    PERMISSION_BYTES_MAX, consistency, listed_subject, millis_up, optional_key, token, valid_for,
};
use crate::transport::incoming::Incoming;
use crate::transport::page::page_size;

impl Authorization {
    pub(super) async fn permissions(
        &self,
        call: &Incoming,
        message: ListPermissionsRequest,
    ) -> Result<ListPermissionsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let (whom, target, requirement) = all((
            listed_subject(message.subject.as_ref(), &self.0.services),
            optional_key("resource", message.resource.as_ref()),
            consistency(message.consistency.as_ref(), self.0.services.engine.settings().staleness_bound),
        ))?;

        let context = call.reading();
        let listed =
            self.0.services.list_permissions(&context, organization, whom, target.as_ref(), requirement).await?;
        let (held, view) = listed;
        let held = held.into_iter().map(|held| proto::PermissionHeld {
            permission: held.name.to_string(),
            valid_for_ms: valid_for(held.until, view.now()),
        });
        Ok(ListPermissionsResponse {
            permissions: held.collect(),
            revision: token(Some(view.token())),
            age_ms: millis_up(view.age),
        })
    }

    pub(super) async fn resources(
        &self,
        call: &Incoming,
        message: ListResourcesRequest,
    ) -> Result<ListResourcesResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let whom = listed_subject(message.subject.as_ref(), &self.0.services);
        // Who a token speaks for, and not the token, which is another tomorrow.
        let subject = whom.as_ref().ok().and_then(|whom| whom.ok()).map(|(subject, _)| subject);
        let query = format!("{subject:?} {} {} in {organization}", message.permission, message.resource_type);
        let (whom, permission, size, after, requirement) = all((
            whom,
            permission(&message.permission),
            page_size(message.page_size),
            self.0.page_key::<Arc<str>>(&query, &message.page_token),
            consistency(message.consistency.as_ref(), self.0.services.engine.settings().staleness_bound),
        ))?;

        let kind = message.resource_type.as_str().into();
        let request = ListResources { organization, whom, permission, kind, after, size: size as usize };
        let (page, view) = self.0.services.list_resources(&call.reading(), &request, requirement).await?;
        let next = page.next.map(|key| self.0.page_token(&query, &key)).transpose()?;
        Ok(ListResourcesResponse {
            resource_ids: page.items.iter().map(ToString::to_string).collect(),
            next_page_token: next.unwrap_or_default(),
            revision: token(Some(view.token())),
            age_ms: millis_up(view.age),
        })
    }

    pub(super) async fn subjects(
        &self,
        call: &Incoming,
        message: ListSubjectsRequest,
    ) -> Result<ListSubjectsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let target = optional_key("resource", message.resource.as_ref());
        let query = format!("who {} on {:?} in {organization}", message.permission, target.as_ref().ok());
        let (permission, target, size, after, requirement) = all((
            permission(&message.permission),
            target,
            page_size(message.page_size),
            self.0.page_key(&query, &message.page_token),
            consistency(message.consistency.as_ref(), self.0.services.engine.settings().staleness_bound),
        ))?;

        let request = ListSubjects { organization, permission, target, after, size: size as usize };
        let (page, view) = self.0.services.list_subjects(&call.reading(), &request, requirement).await?;
        let next = page.next.map(|key| self.0.page_token(&query, &key)).transpose()?;
        Ok(ListSubjectsResponse {
            subjects: page.items.into_iter().map(subject).collect(),
            next_page_token: next.unwrap_or_default(),
            revision: token(Some(view.token())),
            age_ms: millis_up(view.age),
        })
    }
}

fn permission(name: &str) -> Result<Arc<str>, Error> {
    match name.len() {
        0 => Err(Error::invalid("permission", Reason::FieldRequired, "is required")),
        1..=PERMISSION_BYTES_MAX => Ok(name.into()),
        _ => Err(Error::invalid("permission", Reason::PermissionUnknown, "is longer than any permission")),
    }
}

fn subject(subject: Subject) -> proto::Subject {
    let kind = match subject {
        Subject::User(id) => proto::subject::Kind::UserId(id.to_string()),
        Subject::ServiceAccount(id) => proto::subject::Kind::ServiceAccountId(id.to_string()),
    };
    proto::Subject { kind: Some(kind) }
}
