-- Groups, who is in them, and the orders in which grants are listed.
--
-- Who is in a group carries the organization as well: its index loads all of them at once.

create table groups (
    id {uuid} primary key,
    organization_id {uuid} not null references organizations (id),
    name_key {key} not null,
    display_name text not null,
    external_id {key},
    metadata text not null,
    created_at bigint not null,
    unique (organization_id, name_key),
    unique (organization_id, external_id)
);
create table group_members (
    group_id {uuid} not null references groups (id),
    membership_id {uuid} not null references memberships (id),
    organization_id {uuid} not null references organizations (id),
    created_at bigint not null,
    primary key (group_id, membership_id)
);
create index group_members_by_membership on group_members (membership_id);
create index group_members_by_organization on group_members (organization_id);

create index grants_in_order on grants (scope, id);
create index grants_by_principal on grants (scope, principal_kind, principal_id, id);
create index grants_at_place on grants (scope, place_kind, place_type, place_id, id);
drop index grants_by_place;
