//! Contacts of resources, and who wants no mails about one.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::entity::{contacts, muted_contacts};
use super::place::by_kind;
use super::{OrgReads, Tx};
use crate::changelog::Change;
use crate::domain::contact::Contact;
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::OrganizationFact;
use crate::domain::id::ContactId;
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;

impl OrgReads<'_> {
    /// Reads the contacts of a resource by address, at most `size` of them, from after the address key `after` on. The
    /// second value is where the next page begins, if there is one.
    pub async fn contact_page(
        &self,
        key: &ResourceKey,
        after: Option<&str>,
        size: u32,
    ) -> Result<(Vec<Contact>, Option<String>), Error> {
        let mut query = self.contacts_of(key);
        if let Some(after) = after {
            query = query.filter(contacts::Column::EmailKey.gt(after));
        }
        let query = query.order_by_asc(contacts::Column::EmailKey).limit(u64::from(size) + 1);
        let mut rows = query.all(&self.db).await?;
        let has_more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = rows.last().filter(|_| has_more).map(|row| row.email_key.clone());
        Ok((rows.into_iter().map(contact).collect(), next))
    }

    /// Counts the contacts of a resource.
    pub async fn contact_count(&self, key: &ResourceKey) -> Result<usize, Error> {
        let count = self.contacts_of(key).count(&self.db).await?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Finds a contact of a resource by its id.
    pub async fn contact(&self, key: &ResourceKey, id: ContactId) -> Result<Option<Contact>, Error> {
        let row = self.contacts_of(key).filter(contacts::Column::Id.eq(id.0)).one(&self.db).await?;
        Ok(row.map(contact))
    }

    /// Finds a contact of a resource by its address.
    pub async fn contact_by_email(&self, key: &ResourceKey, email: &Email) -> Result<Option<Contact>, Error> {
        let row = self.contacts_of(key).filter(contacts::Column::EmailKey.eq(email.key())).one(&self.db).await?;
        Ok(row.map(contact))
    }

    /// Returns whether the address with this hash wants no mails about a resource.
    pub async fn contact_is_muted(&self, key: &ResourceKey, email_hash: &[u8; 32]) -> Result<bool, Error> {
        let found = muted_contacts::Entity::find()
            .filter(muted_contacts::Column::OrganizationId.eq(self.organization.0))
            .filter(muted(key, email_hash));
        Ok(found.one(&self.db).await?.is_some())
    }

    /// Reads the contacts of some resources of one type.
    pub async fn contacts_on(&self, keys: &[ResourceKey]) -> Result<Vec<Contact>, Error> {
        let mut found = Vec::new();
        for (kind, ids) in by_kind(keys) {
            for ids in ids.chunks(5_000) {
                let rows = contacts::Entity::find()
                    .filter(contacts::Column::OrganizationId.eq(self.organization.0))
                    .filter(contacts::Column::ResourceType.eq(kind))
                    .filter(contacts::Column::ResourceId.is_in(ids.iter().copied()))
                    .all(&self.db)
                    .await?;
                found.extend(rows.into_iter().map(contact));
            }
        }
        Ok(found)
    }

    /// Selects the contacts of a resource.
    fn contacts_of(&self, key: &ResourceKey) -> Select<contacts::Entity> {
        contacts::Entity::find()
            .filter(contacts::Column::OrganizationId.eq(self.organization.0))
            .filter(contacts::Column::ResourceType.eq(&*key.kind))
            .filter(contacts::Column::ResourceId.eq(&*key.id))
    }
}

impl Tx {
    /// Adds a contact to a resource of the locked organization.
    pub async fn contact_insert(&mut self, contact: &Contact, email: &Email) -> Result<(), Error> {
        let row = contacts::ActiveModel {
            id: Set(contact.id.0),
            organization_id: Set(self.organization().0),
            resource_type: Set(contact.key.kind.to_string()),
            resource_id: Set(contact.key.id.to_string()),
            email_key: Set(email.key().to_owned()),
            email: Set(contact.email.clone()),
            created_at: Set(contact.created_at.as_micros()),
        };
        contacts::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.contact_change(contact, true);
        Ok(())
    }

    /// Removes contacts of the locked organization.
    pub async fn contacts_delete(&mut self, contacts: &[Contact]) -> Result<(), Error> {
        for chunk in contacts.chunks(5_000) {
            let ids = chunk.iter().map(|contact| contact.id.0);
            contacts::Entity::delete_many()
                .filter(contacts::Column::OrganizationId.eq(self.organization().0))
                .filter(contacts::Column::Id.is_in(ids))
                .exec(&self.db)
                .await?;
        }
        for contact in contacts {
            self.contact_change(contact, false);
        }
        Ok(())
    }

    /// Keeps in mind that the address with this hash wants no mails about a resource.
    pub async fn contact_mute(&self, key: &ResourceKey, email_hash: &[u8; 32]) -> Result<(), Error> {
        let row = muted_contacts::ActiveModel {
            organization_id: Set(self.organization().0),
            resource_type: Set(key.kind.to_string()),
            resource_id: Set(key.id.to_string()),
            email_hash: Set(email_hash.to_vec()),
            muted_at: Set(self.now().as_micros()),
        };
        muted_contacts::Entity::insert(row).exec_without_returning(&self.db).await?;
        Ok(())
    }

    /// Forgets that the address with this hash wanted no mails about a resource.
    pub async fn contact_unmute(&self, key: &ResourceKey, email_hash: &[u8; 32]) -> Result<(), Error> {
        muted_contacts::Entity::delete_many()
            .filter(muted_contacts::Column::OrganizationId.eq(self.organization().0))
            .filter(muted(key, email_hash))
            .exec(&self.db)
            .await?;
        Ok(())
    }

    /// Forgets who wants no mails about resources that go.
    pub(super) async fn contacts_unmute(&self, kind: &str, ids: &[&str]) -> Result<(), Error> {
        muted_contacts::Entity::delete_many()
            .filter(muted_contacts::Column::OrganizationId.eq(self.organization().0))
            .filter(muted_contacts::Column::ResourceType.eq(kind))
            .filter(muted_contacts::Column::ResourceId.is_in(ids.iter().copied()))
            .exec(&self.db)
            .await?;
        Ok(())
    }

    fn contact_change(&mut self, contact: &Contact, is_told: bool) {
        let fact = OrganizationFact::Contact { id: contact.id, key: contact.key.clone(), is_told };
        let fields = serde_json::json!({ "email": contact.email });
        self.change(Change::of(fact).about(contact.id.0, fields));
    }
}

/// Selects that the address with this hash wants no mails about a resource.
fn muted(key: &ResourceKey, email_hash: &[u8; 32]) -> Condition {
    Condition::all()
        .add(muted_contacts::Column::ResourceType.eq(&*key.kind))
        .add(muted_contacts::Column::ResourceId.eq(&*key.id))
        .add(muted_contacts::Column::EmailHash.eq(email_hash.as_slice()))
}

fn contact(row: contacts::Model) -> Contact {
    Contact {
        id: row.id.into(),
        key: ResourceKey { kind: row.resource_type.into(), id: row.resource_id.into() },
        email: row.email,
        created_at: Timestamp::from_micros(row.created_at),
    }
}
