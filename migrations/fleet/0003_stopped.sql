-- The workers that a lane asks nothing of, because a person paused them: names with a space between them, `*` for all. Null
-- in peace.
set lock_timeout = '2s';
alter table lane add column stopped text;
