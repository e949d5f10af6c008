//! The page of all codes, for `deploy/runbook`.

use std::fmt::Write;

use tenantry_contracts::Code;

/// The page.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Every code, what it means, what to do\n\nWritten by `cargo run -p tenantry-contracts --example schemas` from the table of codes; a test holds it to that.\n\n\
         | code | meaning | what to do |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        // Writing into a string cannot fail.
        let _ = writeln!(page, "| `{code}` | {} | {} |", code.meaning().trim(), code.advice());
    }
    page
}
