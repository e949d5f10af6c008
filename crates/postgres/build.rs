//! A new migration is a new build: the files are embedded when the crate is compiled.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/fleet");
}
