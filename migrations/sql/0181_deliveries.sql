-- Deliveries of any kind: what was the outbox of mails is a table in which webhooks have room.
--
-- A binary takes the kinds that it knows and leaves the others where they are. A replica of the release before goes on
-- with mails through the view, which PostgreSQL lets it write to; the view goes one release later.

alter table outbox rename to deliveries;
alter table deliveries rename column sealed_mail to sealed_payload;
alter table deliveries add column kind text not null default 'mail';
create index deliveries_by_next_attempt on deliveries (kind, next_attempt_at);
drop index outbox_by_next_attempt;
create view outbox as
    select id, sealed_payload as sealed_mail, attempts, next_attempt_at, created_at from deliveries where kind = 'mail';
