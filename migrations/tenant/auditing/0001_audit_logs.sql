-- What happened inside the tenant. The tenant's role can add and read; nobody but the owner can change or remove.
create table audit_logs (
    tenant_id uuid not null default current_tenant(),
    id bigint generated always as identity,
    at timestamptz not null default now(),
    kind text not null default 'audit' check (kind in ('operational', 'security', 'audit')),
    actor text not null,
    action text not null,
    target text,
    outcome text not null default 'succeeded',
    detail jsonb,
    primary key (tenant_id, id)
);
create index audit_logs_by_time on audit_logs (tenant_id, at);
alter table audit_logs enable row level security;
alter table audit_logs force row level security;
create policy of_tenant on audit_logs
    using (tenant_id = current_tenant());
grant select, insert on audit_logs to :"role";
