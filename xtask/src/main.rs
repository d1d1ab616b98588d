//! cargo xtask: test, codegen, bench, tidy.
fn main() {}
