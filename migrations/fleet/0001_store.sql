-- The store of a fleet: what the lanes know. The journal is the only truth; every other table can be made from it,
-- except keys, which are nowhere else on purpose.
--
-- Times are milliseconds since 1970-01-01T00:00:00Z by the fleet's clock, which is not this server's clock.
-- Nothing here is filled by a default, a trigger or a sequence: what is written comes from the statement of a batch.

create table lane (
    lane            integer  not null constraint lane_pkey primary key,
    -- Raised by each take-over; a commit under an older epoch writes nothing.
    epoch           bigint   not null,
    -- The highest journal number.
    n               bigint   not null,
    -- The highest journal number with everything up to it acknowledged on Kafka.
    spoken          bigint   not null,
    -- Every tenant row of the lane shows its journal at least up to this number, so that a take-over need not look
    -- for rows after a tenant's head below it.
    settled         bigint   not null,
    requests_next   bigint   not null,
    requests_last   bytea    not null,
    results_next    bigint   not null,
    results_last    bytea    not null,
    operations_next bigint   not null,
    operations_last bytea    not null,
    fruitless       integer  not null,
    -- What the lane was about to step when it had been taken over fruitlessly too often; null in peace.
    stepping        text,
    seen_at         bigint   not null,
    -- Milliseconds in which nobody owned the lane, in all.
    paused_ms       bigint   not null,
    chain_seq       bigint   not null,
    chain_head      bytea    not null,
    -- Which PostgreSQL this is. Another one, or another timeline, may have lost rows that were spoken: n jumps.
    system_id       bigint   not null,
    timeline        integer  not null
) with (
    -- A handful of rows that change with each batch: room for heap-only updates, and a vacuum that never lags.
    fillfactor = 10,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000
);

-- No foreign key, no second index: every index here costs a fifth of PostgreSQL's time. The primary key begins with
-- what a partition by list (lane) or by range (n) needs, and nothing refers to a row, so this table can become the
-- first partition of a partitioned one by renaming and attaching it.
create table journal (
    lane    integer not null,
    n       bigint  not null,
    -- Null for rows of the lane's own chain.
    tenant  uuid,
    seq     bigint  not null,
    -- The number of the previous row of the same tenant; zero for the first. A fold walks back along it.
    prev_n  bigint  not null,
    at      bigint  not null,
    entry   bytea   not null,
    facts   bytea   not null,
    constraint journal_pkey primary key (lane, n)
) with (
    -- Rows stay in one piece up to a page: they are read whole or not at all.
    toast_tuple_target = 8160,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 500000,
    autovacuum_analyze_scale_factor = 0.2
);
-- Compression on the way in costs more time than the space is worth.
alter table journal alter column entry set storage external;
alter table journal alter column facts set storage external;

create table tenant (
    tenant      uuid    not null constraint tenant_pkey primary key,
    lane        integer not null,
    environment text    not null,
    slug        text    not null,
    -- Sealed.
    name        text    not null,
    plan        text    not null,
    state       text    not null,
    since       bigint  not null,
    head_n      bigint  not null,
    head_seq    bigint  not null,
    head_hash   bytea   not null,
    at_rest     boolean not null,
    holds_slug  boolean not null,
    created     bigint  not null,
    -- One living tenant for each slug. An exclusion constraint, since unlike a unique index it can be partial and
    -- still wait for the end of the statement: one batch frees a slug and claims it again, in no order.
    constraint tenant_slug_held exclude using btree (environment with =, slug with =)
        where (holds_slug) deferrable initially immediate
) with (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000
);
create index tenant_awake on tenant (lane) where not at_rest;
-- Those that once had the slug; the one that has it is found by the constraint's index.
create index tenant_slug_freed on tenant (environment, slug) where not holds_slug;
-- What a person must look at is rare, and asked for often.
create index tenant_parked on tenant (state, tenant) where state in ('AWAITING', 'HELD', 'BLOCKED', 'STUCK');

create table request (
    source text   not null,
    id     text   not null,
    digest bytea  not null,
    -- Null where it was refused: such a row may be replaced when it is thirty days old. The others stay for ever.
    tenant uuid,
    -- The record that was decided, topic/partition/offset, before any forwarding.
    origin text   not null,
    at     bigint not null,
    constraint request_pkey primary key (source, id)
);

-- Destroying a row here erases everything of the tenant that is sealed, wherever it is.
create table tenant_key (
    tenant  uuid  not null constraint tenant_key_pkey primary key,
    wrapped bytea not null
);

-- What workers must not forget.
create table fence (
    resource text   not null constraint fence_pkey primary key,
    token    bigint not null
) with (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000
);

create table answer (
    question text  not null constraint answer_pkey primary key,
    answer   bytea not null
);
