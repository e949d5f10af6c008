//! What stands in `deploy/` and docker-compose.yml, held against what the program, the tree and Compose itself know,
//! without Docker. What Docker does with it shows only where Docker is.

mod compose;
mod image;
mod program;
mod units;

use std::path::{Path, PathBuf};

/// A path from the top level.
fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stands in the workspace").join(path)
}

/// A file from the top level.
fn read(path: &str) -> String {
    std::fs::read_to_string(top(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether git keeps it executable, as far as the working tree tells.
fn is_executable(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(top(path)).is_ok_and(|found| found.permissions().mode() & 0o111 == 0o111)
}
