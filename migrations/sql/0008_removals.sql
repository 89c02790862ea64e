-- Removals that are under way: who is gone in every respect but the product's.
--
-- Whoever has not acknowledged stands in `awaiting`, a JSON list of names.

create table removals (
    membership_id {uuid} primary key references memberships (id),
    organization_id {uuid} not null references organizations (id),
    assets text not null,
    assets_to {uuid},
    awaiting text not null,
    requested_at bigint not null,
    due_at bigint not null
);
create index removals_by_organization on removals (organization_id, requested_at, membership_id);
create index removals_by_due on removals (due_at);
