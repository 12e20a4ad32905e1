//! Hands the optimisation level to the demo, which says so when it was not built for speed.

fn main() {
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    println!("cargo::rustc-env=OMEN_OPT_LEVEL={level}");
    println!("cargo::rerun-if-changed=build.rs");
}
