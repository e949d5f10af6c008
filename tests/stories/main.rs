//! Stories on a running fleet: what upstream systems, people and operators see, on the embedded broker and a real
//! PostgreSQL. The same fleet serves most of them, one after the other; each uses slugs of its own.

mod bad_input;
mod dry_run;
mod killed;
mod life;
