//! What a build must know of itself: the target that it is for, and the revision of the source where it is told.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TENANTRY_REVISION");
    println!("cargo::rustc-env=TENANTRY_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
