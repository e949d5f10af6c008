-- Who may do what. Every key begins with the tenant, so that no reference can leave it.
create table role (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    description text not null,
    primary key (tenant_id, id),
    unique (tenant_id, name)
);
create table permission (
    tenant_id uuid not null,
    name text not null,
    description text not null,
    primary key (tenant_id, name)
);
create table role_permission (
    tenant_id uuid not null,
    role_id uuid not null,
    permission text not null,
    primary key (tenant_id, role_id, permission),
    foreign key (tenant_id, role_id) references role on delete cascade,
    foreign key (tenant_id, permission) references permission on delete cascade
);
create table account (
    tenant_id uuid not null,
    id uuid not null,
    email text,                  -- sealed as field `admin.email`
    email_digest bytea,          -- SHA-256 over fleet, tenant and address: the same address twice is found, not read
    state text not null default 'invited' check (state in ('invited', 'active', 'disabled', 'demo')),
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, email_digest)
);
create table account_role (
    tenant_id uuid not null,
    account_id uuid not null,
    role_id uuid not null,
    primary key (tenant_id, account_id, role_id),
    foreign key (tenant_id, account_id) references account on delete cascade,
    foreign key (tenant_id, role_id) references role on delete cascade
);

alter table role enable row level security;
alter table role force row level security;
alter table permission enable row level security;
alter table permission force row level security;
alter table role_permission enable row level security;
alter table role_permission force row level security;
alter table account enable row level security;
alter table account force row level security;
alter table account_role enable row level security;
alter table account_role force row level security;

create policy of_tenant on role
    using (tenant_id = current_tenant());
create policy of_tenant on permission
    using (tenant_id = current_tenant());
create policy of_tenant on role_permission
    using (tenant_id = current_tenant());
create policy of_tenant on account
    using (tenant_id = current_tenant());
create policy of_tenant on account_role
    using (tenant_id = current_tenant());

grant select, insert, update, delete on role, role_permission, account, account_role to :"role";
grant select on permission to :"role";
