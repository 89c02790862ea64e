-- What was refused and mailed of late, and the devices that have signed in before.
--
-- `subject` and `address` are keyed hashes: neither an address nor where somebody sits stands here.

create table refusals (
    subject {bytes} not null,
    address {bytes} not null,
    window_began_at bigint not null,
    in_window bigint not null,
    in_a_row bigint not null,
    refused_at bigint not null,
    primary key (subject, address)
);
create index refusals_by_last on refusals (refused_at);
create table devices (
    token_hash {bytes} primary key,
    user_id {uuid} not null references users (id),
    expires_at bigint not null
);
create index devices_by_user on devices (user_id, expires_at);
create index devices_by_expiry on devices (expires_at);
create table mail_counts (
    subject {bytes} primary key,
    window_began_at bigint not null,
    mails bigint not null
);
create index mail_counts_by_window on mail_counts (window_began_at);
