//! What stands below a resource, and taking it away.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement, Value};

use super::resource;
use crate::changelog::Change;
use crate::domain::access::Node;
use crate::domain::error::Error;
use crate::domain::fact::{Grant, OrganizationFact};
use crate::domain::id::{MembershipId, ServiceAccountId};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::resource::Resource;
use crate::store::encoding::{grant, optional_key, optional_principal, principal_columns};
use crate::store::entity::{grants, resource_words, resources};
use crate::store::place::by_kind;
use crate::store::{OrgReads, Tx};

/// Most rows that one statement names.
const ROWS_MAX: usize = 5_000;

/// A common table `below` of everything at and under a resource: `$1` is the organization, `$2` and `$3` name the top.
const BELOW: &str = "with recursive below as ( \
    select type, id, parent_type, parent_id, owner_kind, owner_id, service_account_id, 1 as depth \
    from resources where organization_id = $1 and type = $2 and id = $3 \
    union all \
    select r.type, r.id, r.parent_type, r.parent_id, r.owner_kind, r.owner_id, r.service_account_id, b.depth + 1 \
    from below b join resources r \
    on r.organization_id = $1 and r.parent_type = b.type and r.parent_id = b.id where b.depth < 16) ";

/// A resource of a subtree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Branch {
    /// Which, and whose.
    pub node: Node,
    /// What it stands under.
    pub parent: Option<ResourceKey>,
    /// The service account that ends with it.
    pub service_account: Option<ServiceAccountId>,
}

impl OrgReads<'_> {
    /// Returns how many levels a resource is high with all that stands below it: 1 if nothing does, 0 if it is none.
    pub async fn subtree_height(&self, top: &ResourceKey) -> Result<usize, Error> {
        let sql = format!("{BELOW} select max(depth) as height from below");
        let row = self.db.query_one_raw(self.below(top, &sql)).await?;
        // PostgreSQL counts in 32 bits here, SQLite in 64.
        let height = row.map(|row| row.try_get::<Option<i32>>("", "height")).transpose()?.flatten();
        Ok(usize::try_from(height.unwrap_or(0)).unwrap_or(0))
    }

    /// Reads a resource and all that stands below it, each before what is below it.
    pub async fn subtree(&self, top: &ResourceKey) -> Result<Vec<Branch>, Error> {
        let sql = format!("{BELOW} select * from below order by depth, type, id");
        let rows = self.db.query_all_raw(self.below(top, &sql)).await?;
        let branch = |row: sea_orm::QueryResult| {
            let (kind, id): (String, String) = (row.try_get("", "type")?, row.try_get("", "id")?);
            let owner = optional_principal(row.try_get("", "owner_kind")?, row.try_get("", "owner_id")?)?;
            let account: Option<uuid::Uuid> = row.try_get("", "service_account_id")?;
            Ok(Branch {
                node: Node { key: ResourceKey { kind: kind.into(), id: id.into() }, owner },
                parent: optional_key(row.try_get("", "parent_type")?, row.try_get("", "parent_id")?),
                service_account: account.map(ServiceAccountId),
            })
        };
        rows.into_iter().map(branch).collect()
    }

    /// Reads everything that is held at a resource and at all that stands below it.
    pub async fn subtree_grants(&self, top: &ResourceKey) -> Result<Vec<Grant>, Error> {
        let sql = format!(
            "{BELOW} select g.* from below b join grants g on g.scope = $1 and g.place_kind = 'resource' \
             and g.place_type = b.type and g.place_id = b.id order by g.id"
        );
        // The key of an organization's log is its id.
        let statement = self.below(top, &sql);
        let rows = grants::Entity::find().from_raw_sql(statement).all(&self.db).await?;
        rows.iter().map(grant).collect()
    }

    /// Reads what some principals own in an organization, at most `count`; last what service accounts are bound to,
    /// which are judged by what their owner has besides.
    pub async fn owned_by(&self, owners: &[Principal], count: u64) -> Result<Vec<Resource>, Error> {
        let ids = owners.iter().map(|owner| principal_columns(*owner).1);
        let rows = resources::Entity::find()
            .filter(resources::Column::OrganizationId.eq(self.organization.0))
            .filter(resources::Column::OwnerKind.is_in(["membership", "service_account"]))
            .filter(resources::Column::OwnerId.is_in(ids))
            .order_by_asc(resources::Column::ServiceAccountId.is_not_null())
            .order_by_asc(resources::Column::Kind)
            .order_by_asc(resources::Column::Id);
        let rows = sea_orm::QuerySelect::limit(rows, count).all(&self.db).await?;
        rows.into_iter().map(resource).collect()
    }

    /// Reads what stands below what a membership owns and is owned by others, each after what is owned of it; at most
    /// `limit`.
    pub async fn owned_by_others_below(
        &self,
        membership: MembershipId,
        limit: u64,
    ) -> Result<Vec<(ResourceKey, ResourceKey)>, Error> {
        let sql = format!(
            "with recursive below as ( \
             select type as top_type, id as top_id, type, id, owner_id, 0 as depth from resources \
             where organization_id = $1 and owner_kind = 'membership' and owner_id = $2 \
             union all \
             select b.top_type, b.top_id, r.type, r.id, r.owner_id, b.depth + 1 from below b join resources r \
             on r.organization_id = $1 and r.parent_type = b.type and r.parent_id = b.id where b.depth < 8) \
             select top_type, top_id, type, id from below where owner_id is not null and owner_id <> $2 \
             order by top_type, top_id, type, id limit {limit}"
        );
        let values: [Value; 2] = [self.organization.0.into(), membership.0.into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let mut found = Vec::new();
        for row in self.db.query_all_raw(statement).await? {
            let key = |kind: &str, id: &str| -> Result<ResourceKey, Error> {
                let (kind, id): (String, String) = (row.try_get("", kind)?, row.try_get("", id)?);
                Ok(ResourceKey { kind: kind.into(), id: id.into() })
            };
            found.push((key("top_type", "top_id")?, key("type", "id")?));
        }
        Ok(found)
    }

    fn below(&self, top: &ResourceKey, sql: &str) -> Statement {
        let values: [Value; 3] = [self.organization.0.into(), top.kind.to_string().into(), top.id.to_string().into()];
        Statement::from_sql_and_values(self.db.get_database_backend(), sql, values)
    }
}

impl Tx {
    /// Takes resources out of the locked organization's tree; their grants and contacts have gone before, and what
    /// stood below them.
    pub async fn resources_delete(&mut self, keys: &[ResourceKey]) -> Result<(), Error> {
        let organization = self.organization().0;
        for (kind, ids) in by_kind(keys) {
            for ids in ids.chunks(ROWS_MAX) {
                self.seat_limits_delete(kind, ids).await?;
                self.contacts_unmute(kind, ids).await?;
                self.notification_counts_delete(kind, ids).await?;
                resource_words::Entity::delete_many()
                    .filter(resource_words::Column::OrganizationId.eq(organization))
                    .filter(resource_words::Column::Kind.eq(kind))
                    .filter(resource_words::Column::Id.is_in(ids.iter().copied()))
                    .exec(&self.db)
                    .await?;
                resources::Entity::delete_many()
                    .filter(resources::Column::OrganizationId.eq(organization))
                    .filter(resources::Column::Kind.eq(kind))
                    .filter(resources::Column::Id.is_in(ids.iter().copied()))
                    .exec(&self.db)
                    .await?;
            }
        }
        for key in keys {
            self.change(Change::of(OrganizationFact::ResourceGone { key: key.clone() }));
        }
        Ok(())
    }
}
