//! The subscriptions of a stream: registered and released, organization by organization.

use super::{Stream, Watch};
use crate::authz::question::{Answer, Denial, Item, Questions};
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;

impl<Q: Questions> Stream<Q> {
    /// Finds the watch of an organization, a new one if need be; `None` if it must be loaded again.
    pub(super) fn watch(&mut self, organization: OrganizationId) -> Result<Option<u32>, Error> {
        if let Some(watch) = self.watch_of.get(&organization) {
            return Ok(Some(*watch));
        }
        let Some(entry) = self.engine.cache().entry(organization) else { return Ok(None) };
        if !self.engine.cache().join(&entry, self.id, &self.inbox, self.caller.subject)? {
            return Ok(None);
        }
        self.watches_made += 1;
        let number = self.watches_made;
        let watch = Watch {
            organization,
            entry,
            count: 0,
            refused: Vec::new(),
            right_until: None,
            is_about_others: false,
            told: None,
        };
        self.watches.insert(number, watch);
        self.watch_of.insert(organization, number);
        Ok(Some(number))
    }

    /// Registers subscriptions, which marks them dirty: nothing falls in between.
    pub(super) fn hold(&mut self, number: u32, subscriptions: Vec<(u64, Item, Option<bool>)>) {
        self.dirty.insert(number);
        for (client, item, known) in subscriptions {
            // A change of the subscription before may be under way: then the client holds something else than it says.
            let known = known.filter(|_| !self.held.contains_key(&client));
            self.release(client);
            let Some(watch) = self.watches.get_mut(&number) else { break };
            let held = match &item {
                Ok(question) => {
                    watch.is_about_others |= question.subject != self.caller.subject;
                    let mut registry = watch.entry.registry();
                    registry.mark_caller(self.id);
                    registry.add(self.id, client, question, known).ok_or(Denial::PermissionUnknown)
                }
                Err(denial) => Err(*denial),
            };
            match held {
                Ok(record) => {
                    watch.count += 1;
                    self.held.insert(client, (number, record));
                }
                Err(_) if known == Some(false) => {}
                Err(denial) => watch.refused.push((client, Answer::Denied(denial))),
            }
        }
    }

    /// Releases one subscription.
    pub(super) fn release(&mut self, client: u64) {
        let Some((number, record)) = self.held.remove(&client) else { return };
        let Some(watch) = self.watches.get_mut(&number) else { return };
        if let Some(at) = watch.entry.registry().remove(record) {
            self.expiries.remove(&(at, client));
        }
        watch.count -= 1;
        if watch.count == 0 && !self.dirty.contains(&number) {
            self.end_watch(number);
        }
    }

    /// Releases an organization, with every subscription on it.
    pub(super) fn end_watch(&mut self, number: u32) {
        let Some(watch) = self.watches.remove(&number) else { return };
        self.watch_of.remove(&watch.organization);
        self.dirty.remove(&number);
        for (client, expires_at) in self.engine.cache().leave(&watch.entry, self.id) {
            self.held.remove(&client);
            if let Some(at) = expires_at {
                self.expiries.remove(&(at, client));
            }
        }
    }

    /// Releases everything of one organization, and reports it.
    pub(super) fn reset(&mut self, organization: OrganizationId, reason: Reason) {
        if let Some(number) = self.watch_of.get(&organization) {
            self.end_watch(*number);
        }
        self.resets.push_back((organization, reason));
    }
}
