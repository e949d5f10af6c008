//! Writes `schemas/` and the runbook's page of codes anew from the types of this crate: `cargo run -p tenantry-contracts --example schemas`.

mod asyncapi;
mod codes;
mod files;

use std::io;

fn main() -> io::Result<()> {
    let folder = files::folder();
    for file in files::all() {
        std::fs::write(folder.join(&file.name), file.text)?;
    }
    std::fs::write(folder.join("../deploy/runbook/codes.md"), codes::page())?;
    Ok(())
}
