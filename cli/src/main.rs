//! The command line, and the whole service on one machine: millstream up.
fn main() {}
