-- The tenant's settings: one row. Personal data stands sealed, as it came.
create table tenant_config (
    id uuid primary key,
    name text not null,          -- sealed as field `name`
    domain text,
    theme text,                  -- colours and branding, one JSON document, sealed as field `customisation`
    limits jsonb not null,
    contact_email text,          -- sealed as field `admin.email`
    updated_at timestamptz not null default now()
);
alter table tenant_config enable row level security;
alter table tenant_config force row level security;
create policy of_tenant on tenant_config
    using (id = current_tenant());
grant select, update on tenant_config to :"role";
