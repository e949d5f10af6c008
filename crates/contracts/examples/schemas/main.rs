//! Writes `schemas/` anew from the types of this crate: `cargo run -p tenantry-contracts --example schemas`.

mod asyncapi;
mod files;

use std::io;

fn main() -> io::Result<()> {
    let folder = files::folder();
    for file in files::all() {
        std::fs::write(folder.join(&file.name), file.text)?;
    }
    Ok(())
}
