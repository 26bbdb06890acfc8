//! Lets test binaries find libduckdb.so beside themselves.
//!
//! Cargo puts test binaries in `<target>/<profile>/deps` and the library lies in `<target>/lib`.
//! The path is relative to the binary, so the tree can be moved and no variable need be set.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../../lib");
    }
}
