-- Who may do what. A login is a member of one of these; they themselves cannot log in.
--
-- Roles belong to the whole cluster, so another database's migration may make them at the same moment.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['tenantry_coordinator', 'tenantry_worker', 'tenantry_reader'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
end
$$;

grant usage on schema public to tenantry_coordinator, tenantry_worker, tenantry_reader;
grant select on _sqlx_migrations to tenantry_coordinator, tenantry_worker, tenantry_reader;

-- The coordinator writes the journal and never changes it. It may forget refused requests, and destroy keys.
grant select, insert, update on lane to tenantry_coordinator;
grant select, insert on journal to tenantry_coordinator;
grant select, insert, update on tenant to tenantry_coordinator;
grant select, insert, delete on request to tenantry_coordinator;
grant select, insert, delete on tenant_key to tenantry_coordinator;

-- Workers open what is sealed, fence what they touch, and remember their answers.
grant select on tenant_key to tenantry_worker;
grant select, insert, update on fence to tenantry_worker;
grant select, insert on answer to tenantry_worker;

-- People see everything but keys and answers.
grant select on lane, journal, tenant, request, fence to tenantry_reader;
