//! Compiler messages for load tests with a mistake: each file in `ui/` makes one.

use std::{io::Write as _, process::Command};

/// The wording of `rustc` changes between releases. Set `TRYBUILD=overwrite` to update the expected messages.
const TOOLCHAIN: &str = "rustc 1.95.";

#[test]
fn mistakes_are_explained() {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout);
    if !version.starts_with(TOOLCHAIN) {
        // The output of `eprintln!` is hidden for a test that passes.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: the expected messages are those of {TOOLCHAIN}x, and this is {}",
            version.trim()
        );
        return;
    }
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
