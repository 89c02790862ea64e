//! Clearing: taking a resource away with all that stands below it, and with everything that hangs on that; and judging what
//! a bound service account holds anew.

use std::collections::{HashMap, HashSet};

use crate::domain::access::{is_visible, may_give};
use crate::domain::contact::Contact;
use crate::domain::error::Error;
use crate::domain::fact::Grant;
use crate::domain::id::ServiceAccountId;
use crate::domain::place::{Principal, ResourceKey, resources_among};
use crate::domain::resource::Resource;
use crate::store::{Branch, Tx};

/// However many resources service accounts which end own elsewhere.
const ALL: u64 = u32::MAX as u64;
/// Owners that one statement names.
const OWNERS_MAX: usize = 1_000;

/// One thing that goes.
enum Step {
    Grant(Grant),
    Contact(Contact),
    /// A resource changes hands, because its owner ends.
    Orphan(Resource),
    Account(ServiceAccountId),
    Resource(ResourceKey),
}

impl Step {
    /// Returns how many facts it takes, at the most: the seats of a resource go with it.
    fn facts(&self) -> usize {
        match self {
            Self::Resource(_) => 2,
            Self::Grant(_) | Self::Contact(_) | Self::Orphan(_) | Self::Account(_) => 1,
        }
    }
}

/// All that goes with a resource, from the leaves up; the resource itself comes last.
pub(super) struct Clearing {
    steps: Vec<Step>,
}

impl Clearing {
    /// Gathers all that goes with a resource.
    pub async fn of(tx: &Tx, key: &ResourceKey) -> Result<Self, Error> {
        let branches = tx.reads().subtree(key).await?;
        let grants = tx.reads().subtree_grants(key).await?;
        Self::of_branches(tx, &branches, grants).await
    }

    /// Gathers all that goes with a subtree and what is held in it, both as they were read.
    pub async fn of_branches(tx: &Tx, branches: &[Branch], grants: Vec<Grant>) -> Result<Self, Error> {
        Ok(Self { steps: steps(tx, branches, grants).await? })
    }

    /// Has the resource itself go last, and before it what some hold at it; returns how many facts
    /// these take.
    pub fn put_last(&mut self, is_theirs: impl Fn(&Grant) -> bool) -> usize {
        let Some(Step::Resource(top)) = self.steps.last() else { return 0 };
        let top = top.clone();
        let is_last = |step: &Step| match step {
            Step::Grant(grant) => grant.place.resource() == Some(&top) && is_theirs(grant),
            Step::Resource(key) => *key == top,
            Step::Contact(_) | Step::Orphan(_) | Step::Account(_) => false,
        };
        let (last, rest): (Vec<Step>, Vec<Step>) = std::mem::take(&mut self.steps).into_iter().partition(is_last);
        let facts = last.iter().map(Step::facts).sum();
        self.steps = rest;
        self.steps.extend(last);
        facts
    }

    /// Returns how many facts it takes, at the most.
    pub fn len(&self) -> usize {
        self.steps.iter().map(Step::facts).sum()
    }

    /// Takes away what comes first, as much of it as `most` facts hold.
    pub async fn take(mut self, tx: &mut Tx, most: usize) -> Result<(), Error> {
        let mut facts = 0;
        let fits = |step: &&Step| {
            facts += step.facts();
            facts <= most
        };
        let count = self.steps.iter().take_while(fits).count();
        self.steps.truncate(count);
        take(tx, self.steps).await
    }
}

/// Lists everything that goes, what hangs on a resource before it, what stands below before what is above.
async fn steps(tx: &Tx, branches: &[Branch], grants: Vec<Grant>) -> Result<Vec<Step>, Error> {
    let keys: Vec<ResourceKey> = branches.iter().map(|branch| branch.node.key.clone()).collect();
    let accounts: Vec<ServiceAccountId> = branches.iter().filter_map(|branch| branch.service_account).collect();
    let mut known: HashSet<_> = grants.iter().map(|grant| grant.id).collect();
    let held = tx.reads().grants_of_accounts(&accounts).await?;
    let mut of_account: HashMap<ServiceAccountId, Vec<Step>> = HashMap::new();
    for grant in held {
        if let (Principal::ServiceAccount(id), true) = (grant.principal, known.insert(grant.id)) {
            of_account.entry(id).or_default().push(Step::Grant(grant));
        }
    }
    let owners: Vec<Principal> = accounts.iter().copied().map(Principal::ServiceAccount).collect();
    let here: HashSet<&ResourceKey> = keys.iter().collect();
    for owners in owners.chunks(OWNERS_MAX) {
        for resource in tx.reads().owned_by(owners, ALL).await? {
            let Some(Principal::ServiceAccount(id)) = resource.owner else { continue };
            if !here.contains(&resource.key) {
                of_account.entry(id).or_default().push(Step::Orphan(resource));
            }
        }
    }
    let mut at: HashMap<ResourceKey, Vec<Step>> = HashMap::new();
    for grant in grants {
        if let Some(key) = grant.place.resource().cloned() {
            at.entry(key).or_default().push(Step::Grant(grant));
        }
    }
    for contact in tx.reads().contacts_on(&keys).await? {
        at.entry(contact.key.clone()).or_default().push(Step::Contact(contact));
    }

    let mut steps = Vec::new();
    for branch in branches.iter().rev() {
        steps.extend(at.remove(&branch.node.key).unwrap_or_default());
        if let Some(account) = branch.service_account {
            steps.extend(of_account.remove(&account).unwrap_or_default());
            steps.push(Step::Account(account));
        }
        steps.push(Step::Resource(branch.node.key.clone()));
    }
    Ok(steps)
}

async fn take(tx: &mut Tx, steps: Vec<Step>) -> Result<(), Error> {
    let (mut grants, mut contacts, mut accounts, mut keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut orphans = Vec::new();
    for step in steps {
        match step {
            Step::Grant(grant) => grants.push(grant),
            Step::Contact(contact) => contacts.push(contact),
            Step::Orphan(resource) => orphans.push(resource),
            Step::Account(account) => accounts.push(account),
            Step::Resource(key) => keys.push(key),
        }
    }
    tx.grants_delete(&grants).await?;
    tx.contacts_delete(&contacts).await?;
    tx.resources_disown(orphans).await?;
    tx.service_accounts_delete(&accounts).await?;
    tx.resources_delete(&keys).await
}

/// Takes from the bound service account what its resource's new owner, whatever their state, may not give.
pub(super) async fn judge_anew(
    tx: &mut Tx,
    account: ServiceAccountId,
    owner: Option<Principal>,
) -> Result<Vec<Grant>, Error> {
    let (principal, now) = (Principal::ServiceAccount(account), tx.now());
    let held = tx.reads().grants_of(&[principal], now).await?.live;
    let places = resources_among(held.iter().map(|grant| &grant.place));
    let owner = match owner {
        Some(owner) if !held.is_empty() => Some(tx.reads().actor_in_force(owner, &places, tx.now()).await?),
        _ => None,
    };
    let may_be_given = |grant: &Grant| {
        owner.as_ref().is_some_and(|owner| {
            let place = owner.at(grant.place.resource());
            is_visible(&place, now) && may_give(&place, &grant.held, principal, now).is_ok()
        })
    };
    let revoked: Vec<Grant> = held.into_iter().filter(|grant| !may_be_given(grant)).collect();
    tx.grants_delete(&revoked).await?;
    Ok(revoked)
}
