//! Lists of what may be done: enumerated on the index, at one pair of revisions a page.

use std::sync::Arc;

use crate::authz::{Denial, Page, PermissionHeld, Requirement, SubjectKey, View, Viewer, Whom, may_ask_about};
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::{ResourceKey, Subject};
use crate::service::{Context, Services};

/// Asks on which resources a subject has a permission.
#[derive(Clone, Debug)]
pub struct ListResources {
    pub organization: OrganizationId,
    /// Who; of a token that is dead nothing is listed.
    pub whom: Result<Whom, Denial>,
    /// What, by name.
    pub permission: Arc<str>,
    /// The type of the resources, by name.
    pub kind: Arc<str>,
    /// The id after which the page begins.
    pub after: Option<Arc<str>>,
    /// Most resources on the page.
    pub size: usize,
}

/// Asks who has a permission on a target.
#[derive(Clone, Debug)]
pub struct ListSubjects {
    pub organization: OrganizationId,
    /// What, by name.
    pub permission: Arc<str>,
    /// On what; the organization itself if nothing.
    pub target: Option<ResourceKey>,
    /// After which subject the page begins.
    pub after: Option<SubjectKey>,
    /// Most subjects on the page.
    pub size: usize,
}

impl Services {
    /// Returns what a subject may do on a target. About oneself everyone may ask, about others access.check is needed.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::IndexStale`].
    /// - What [`Engine::view`](crate::authz::Engine::view) fails with.
    pub async fn list_permissions(
        &self,
        context: &Context,
        organization: OrganizationId,
        whom: Result<Whom, Denial>,
        target: Option<&ResourceKey>,
        requirement: Requirement,
    ) -> Result<(Vec<PermissionHeld>, View), Error> {
        let (view, _) = self.viewed(context, organization, whom.ok().map(|(subject, _)| subject), requirement).await?;
        let held = whom.map(|whom| view.permissions(whom, target)).unwrap_or_default();
        Ok((held, view))
    }

    /// Returns a page of the resources on which a subject has a permission; about oneself, of those the caller may
    /// view.
    ///
    /// # Errors
    /// - As [`Services::list_permissions`], and [`Reason::PermissionUnknown`], [`Reason::ResourceTypeUnknown`].
    pub async fn list_resources(
        &self,
        context: &Context,
        request: &ListResources,
        requirement: Requirement,
    ) -> Result<(Page<Arc<str>, Arc<str>>, View), Error> {
        let subject = request.whom.ok().map(|(subject, _)| subject);
        let (view, viewer) = self.viewed(context, request.organization, subject, requirement).await?;
        let permission = permission(&view, &request.permission)?;
        let kind = view.organization.catalog().resource_type(&request.kind).map(|(id, _)| id).ok_or_else(|| {
            Error::invalid("resource_type", Reason::ResourceTypeUnknown, "is not declared by the catalog")
        })?;
        let Ok(whom) = request.whom else { return Ok((Page::default(), view)) };
        let page = view.resources(whom, permission, kind, viewer, (request.after.as_deref(), request.size));
        Ok((page, view))
    }

    /// Returns a page of who has a permission on a target. Needs access.check.
    ///
    /// # Errors
    /// - As [`Services::list_permissions`], and [`Reason::PermissionUnknown`].
    pub async fn list_subjects(
        &self,
        context: &Context,
        request: &ListSubjects,
        requirement: Requirement,
    ) -> Result<(Page<Subject, SubjectKey>, View), Error> {
        let (view, _) = self.viewed(context, request.organization, None, requirement).await?;
        let permission = permission(&view, &request.permission)?;
        let page = view.subjects(permission, request.target.as_ref(), (request.after, request.size));
        Ok((page, view))
    }

    /// Returns a view that is fresh enough to list from, and as whom the caller may look at it. `subject` is nobody
    /// where others are asked about in any case.
    async fn viewed(
        &self,
        context: &Context,
        organization: OrganizationId,
        subject: Option<Subject>,
        requirement: Requirement,
    ) -> Result<(View, Viewer), Error> {
        let caller = context.subject()?;
        let view = self.engine.view(organization, requirement, caller).await?;
        if let Err(error) = may_ask_about(&view, caller, subject) {
            return Err(self.refusal(organization, requirement, caller, error).await);
        }
        context.note(organization, view.now());
        self.must_be_fresh(&view)?;
        let may_check = view.right_to_check(caller).is_allowed();
        Ok((view, Viewer { subject: caller, may_check }))
    }
}

fn permission(view: &View, name: &str) -> Result<PermissionId, Error> {
    view.organization
        .catalog()
        .permission(name)
        .ok_or_else(|| Error::invalid("permission", Reason::PermissionUnknown, "is not declared by the catalog"))
}
