-- A one-time link lets a person claim an account. Only the digest of its secret stands here.
alter table account
    add column claim_hash bytea,
    add column claim_expires timestamptz,
    add constraint claim_is_whole check ((claim_hash is null) = (claim_expires is null));
