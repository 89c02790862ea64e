-- Members as they are listed and searched: ids and metadata of the product's own, keys to sort and search by, and when
-- each was last active. Organizations get the same of the product's own, and a slug. Both are unique among the organizations that follow one catalog, whose name is the product's.
--
-- Every documented order of members has an index that ends with the id: pages are cut between any two rows. A member
-- who was never active has -2^62, which is before any instant that can be named, so that the order has no holes.

alter table memberships add column external_id {key};
alter table memberships add column metadata text;
alter table memberships add column name_key {key} not null default '';
alter table memberships add column last_active_at bigint not null default -4611686018427387904;
alter table memberships add column is_made_here boolean not null default false;
create unique index memberships_by_external_id on memberships (organization_id, external_id);
create index memberships_by_name on memberships (organization_id, name_key, id);
create index memberships_by_activity on memberships (organization_id, last_active_at, id);
create index memberships_by_creation on memberships (organization_id, created_at, id);
create index memberships_by_state on memberships (organization_id, state, id);
create index memberships_by_address on memberships (email_key, id);
drop index memberships_by_user;
create index memberships_by_user on memberships (user_id, id);

create table membership_words (
    membership_id {uuid} not null references memberships (id),
    word {key} not null,
    organization_id {uuid} not null references organizations (id),
    primary key (membership_id, word)
);
create index membership_words_by_word on membership_words (organization_id, word, membership_id);
create index grants_by_role on grants (scope, place_kind, role, principal_kind, principal_id);

alter table organizations add column product {key} not null default '';
alter table organizations add column slug {key};
alter table organizations add column external_id {key};
alter table organizations add column metadata text;
create unique index organizations_by_slug on organizations (product, slug);
create unique index organizations_by_external_id on organizations (product, external_id);
