-- Offers: which link was made when, who does not come back by one, and what has expired, to be swept.
--
-- A `revision` is that of the organization's log before the commit. A `mark` is a keyed hash: nothing else of an address
-- is kept here, and not for longer than a link is open that was made before the removal.

alter table invitations add column revision bigint not null default 0;
create index invitations_by_organization on invitations (organization_id, kind, state, id);

create table barred_from_links (
    organization_id {uuid} not null references organizations (id),
    mark {bytes} not null,
    revision bigint not null,
    expires_at bigint not null,
    primary key (organization_id, mark)
);
create index barred_from_links_by_expiry on barred_from_links (expires_at);

create index grants_by_expiry on grants (expires_at) where expires_at is not null;
