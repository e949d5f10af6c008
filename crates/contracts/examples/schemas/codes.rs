//! The index of all codes, for `deploy/runbook`; each has a page of its own beside it, written by hand.

use std::fmt::Write;

use tenantry_contracts::Code;

/// The index.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Every code, what it means, what to do\n\nWritten by `cargo run -p tenantry-contracts --example schemas` from the table of codes; a test holds it to that.\n\
         Each has a page in `codes/`, written by hand; `tenantry explain <code>` prints it.\n\n\
         | code | meaning | what to do |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        // Writing into a string cannot fail.
        let _ =
            writeln!(page, "| [`{code}`](codes/{code}.md) | {} | {} |", code.meaning().trim(), code.advice());
    }
    page
}
