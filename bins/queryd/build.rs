//! Lets the binary find libduckdb.so in `../lib` beside its own directory: `target/lib` for a
//! build in `target/debug`, `/usr/local/lib` once it is installed in `/usr/local/bin`. Test
//! binaries lie one level deeper.
//!
//! The paths are relative to the binary, so the tree can be moved and no variable need be set.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/../../lib");
    }
}
