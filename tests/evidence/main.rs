//! The audit of a running fleet, signed as it grows; what an auditor is given of it; and what happens where somebody
//! tampers with it. On the embedded broker and a real PostgreSQL, verified by both verifiers.

mod exported;
mod forged;
mod log;
mod signed;
mod size;
