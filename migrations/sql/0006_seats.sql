-- Seats: how many people an organization, or the list of one of its resources, has room for.
--
-- Empty type and id stand for the organization itself. Who sits there is counted, never kept.

create table seat_limits (
    organization_id {uuid} not null references organizations (id),
    type {key} not null,
    id {key} not null,
    seats bigint not null,
    primary key (organization_id, type, id)
);
