-- Identity, membership, grants and the log: everything from an invitation to a check.
--
-- Instants are microseconds since 1970 UTC. Tags are 64 bits, kept as a signed number. Foreign keys never cascade: a
-- row that left without a fact would be a hole in the log.

create table installation (
    id bigint primary key check (id = 1),
    epoch bigint not null,
    key_check {bytes} not null,
    reached_at bigint not null,
    unrecorded_us bigint not null,
    created_at bigint not null
);
create table signing_keys (
    id {uuid} primary key,
    public_key {bytes} not null,
    sealed_private_key {bytes} not null,
    created_at bigint not null
);

create table heads (
    scope {uuid} primary key,
    revision bigint not null,
    tag bigint not null,
    counters text not null
);
create table commits (
    {sequence}
    scope {uuid} not null,
    revision bigint not null,
    tag bigint not null,
    {transaction}
    rpc text not null,
    actor text not null,
    call_id {uuid} not null,
    reason text,
    committed_at bigint not null,
    unique (scope, revision)
);
{transaction_index}
create table facts (
    scope {uuid} not null,
    revision bigint not null,
    ordinal bigint not null,
    fact text not null,
    primary key (scope, revision, ordinal)
);
create table change_details (
    scope {uuid} not null,
    revision bigint not null,
    ordinal bigint not null,
    subject {uuid},
    detail text not null,
    primary key (scope, revision, ordinal)
);
create index change_details_by_subject on change_details (subject);

create table organizations (
    id {uuid} primary key,
    display_name text not null,
    catalog {key} not null,
    state text not null,
    created_at bigint not null
);

create table users (
    id {uuid} primary key,
    display_name text not null,
    state text not null,
    created_at bigint not null
);
create table user_emails (
    email_key {key} primary key,
    user_id {uuid} not null references users (id),
    email text not null,
    verified_at bigint not null
);
create index user_emails_by_user on user_emails (user_id);
create table passwords (
    user_id {uuid} primary key references users (id),
    hash text not null,
    changed_at bigint not null
);
create table sessions (
    id {uuid} primary key,
    user_id {uuid} not null references users (id),
    created_at bigint not null,
    expires_at bigint not null,
    ended_at bigint
);
create index sessions_by_user on sessions (user_id);

create table service_accounts (
    id {uuid} primary key,
    organization_id {uuid} references organizations (id),
    display_name text not null,
    state text not null,
    created_at bigint not null
);
create index service_accounts_by_organization on service_accounts (organization_id);
create table api_keys (
    id {uuid} primary key,
    service_account_id {uuid} not null references service_accounts (id),
    secret_hash {bytes} not null unique,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);
create index api_keys_by_service_account on api_keys (service_account_id);

create table memberships (
    id {uuid} primary key,
    organization_id {uuid} not null references organizations (id),
    user_id {uuid} references users (id),
    email_key {key} not null,
    email text not null,
    display_name text not null,
    state text not null,
    created_at bigint not null,
    unique (organization_id, email_key),
    unique (organization_id, user_id)
);
create index memberships_by_user on memberships (user_id);

create table resources (
    organization_id {uuid} not null references organizations (id),
    type {key} not null,
    id {key} not null,
    parent_type {key},
    parent_id {key},
    owner_kind text,
    owner_id {uuid},
    created_at bigint not null,
    primary key (organization_id, type, id)
);
create index resources_by_parent on resources (organization_id, parent_type, parent_id);

create table grants (
    id {uuid} primary key,
    scope {uuid} not null,
    principal_kind text not null,
    principal_id {uuid} not null,
    place_kind text not null,
    place_type {key} not null,
    place_id {key} not null,
    role {key} not null,
    expires_at bigint,
    source text not null,
    created_at bigint not null,
    unique (scope, principal_kind, principal_id, place_kind, place_type, place_id, role)
);
create index grants_by_place on grants (scope, place_kind, place_type, place_id);

create table invitations (
    id {uuid} primary key,
    organization_id {uuid} not null references organizations (id),
    kind text not null,
    membership_id {uuid},
    email_key {key},
    email text,
    assignments text,
    token_hash {bytes} not null unique,
    sponsor_kind text not null,
    sponsor_id {uuid} not null,
    state text not null,
    is_founding boolean not null,
    created_at bigint not null,
    expires_at bigint not null,
    check (case kind when 'email' then membership_id is not null and email is not null else assignments is not null end)
);
create index invitations_by_membership on invitations (membership_id);

create table idempotency_records (
    caller {uuid} not null,
    request_id {uuid} not null,
    request_hash {bytes} not null,
    response text not null,
    expires_at bigint not null,
    primary key (caller, request_id)
);
create index idempotency_records_by_expiry on idempotency_records (expires_at);

create table outbox (
    id {uuid} primary key,
    sealed_mail {bytes} not null,
    attempts bigint not null,
    next_attempt_at bigint not null,
    created_at bigint not null
);
create index outbox_by_next_attempt on outbox (next_attempt_at);
