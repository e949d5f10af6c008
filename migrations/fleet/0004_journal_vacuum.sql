-- The journal only grows at its end, as long as no vacuum tells of the holes that rows of many lengths leave in its
-- pages: then new rows go into old pages, and each of those pages goes to the WAL whole once more. Measured with a million
-- finished tenants: 104 KiB of WAL a saga instead of 11. There is nothing dead in it to remove, and what must be
-- frozen is frozen by the vacuum against wraparound.
set lock_timeout = '2s';
alter table journal set (autovacuum_vacuum_insert_threshold = -1);
