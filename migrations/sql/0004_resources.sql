-- Resources whole: names, metadata, bound service accounts, contacts, and the words by which they are found.
--
-- A contact keeps its address; who wants no more mails leaves a hash of theirs alone.

alter table resources add column display_name text not null default '';
alter table resources add column metadata text not null default '{}';
alter table resources add column service_account_id {uuid};
create index resources_by_owner on resources (organization_id, owner_kind, owner_id);
drop index resources_by_parent;
create index resources_by_parent on resources (organization_id, parent_type, parent_id, type, id);
create table resource_words (
    organization_id {uuid} not null,
    word {key} not null,
    type {key} not null,
    id {key} not null,
    primary key (organization_id, word, type, id)
);
create index resource_words_by_resource on resource_words (organization_id, type, id);

alter table service_accounts add column resource_type {key};
alter table service_accounts add column resource_id {key};
create index service_accounts_by_resource on service_accounts (organization_id, resource_type, resource_id);

create table contacts (
    id {uuid} primary key,
    organization_id {uuid} not null references organizations (id),
    resource_type {key} not null,
    resource_id {key} not null,
    email_key {key} not null,
    email text not null,
    created_at bigint not null,
    unique (organization_id, resource_type, resource_id, email_key)
);
create table muted_contacts (
    organization_id {uuid} not null references organizations (id),
    resource_type {key} not null,
    resource_id {key} not null,
    email_hash {bytes} not null,
    muted_at bigint not null,
    primary key (organization_id, resource_type, resource_id, email_hash)
);
create table notification_windows (
    organization_id {uuid} not null references organizations (id),
    resource_type {key} not null,
    resource_id {key} not null,
    window_started_at bigint not null,
    notifications bigint not null,
    primary key (organization_id, resource_type, resource_id)
);
