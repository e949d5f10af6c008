-- Ranges of the journal that stand in files as well (`tenantry journal archive`), so that rows which nothing here needs any
-- more can go from the store without a proof going with them.
--
-- The ranges of a lane lie end to end: the first begins with 1, each other one after the end of the one before. So every row
-- up to the end of the last one is in exactly one file, also where numbers jumped. A row is deleted from `journal` only
-- after the range that it is in stands here.
create table archived (
    lane     integer not null,
    from_n   bigint  not null,
    to_n     bigint  not null,
    -- How many rows the file has: all that were ever in the range.
    rows     bigint  not null,
    -- SHA-256 of the file's bytes.
    sha256   bytea   not null,
    -- Its name, without a folder: files may be moved.
    file     text    not null,
    -- The times of its oldest and its newest row.
    oldest   bigint  not null,
    newest   bigint  not null,
    -- When it was recorded.
    at       bigint  not null,
    -- Since when all its rows are in the store again, because a person put them back; null where some may be gone.
    restored bigint,
    constraint archived_pkey primary key (lane, from_n)
);

-- As in 0002: roles belong to the whole cluster.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'tenantry_archivist') then
        begin
            create role tenantry_archivist nologin;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end if;
end
$$;

grant usage on schema public to tenantry_archivist;
grant select on _sqlx_migrations to tenantry_archivist;

-- The only role that deletes from the journal; it writes nothing into it, since who could do both could alter a row. Rows are
-- put back by the owner.
grant select on lane, journal, tenant, archived to tenantry_archivist;
grant delete on journal to tenantry_archivist;
grant insert, update (restored) on archived to tenantry_archivist;

grant select on archived to tenantry_reader;
