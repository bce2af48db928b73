//! `golo new`: makes a load test to start with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::failure::Failure;

/// Source of the new load test.
const MAIN: &str = include_str!("new_crate/main.rs.txt");
/// Placeholder of the load test's name in the source.
const NAME: &str = "load_test_name";

/// Makes the folder `path` with a crate of the same name that compiles, runs and has a test. In a workspace it becomes a
/// member. Returns the next steps for the user.
///
/// # Errors
///
/// Returns an error if cargo cannot make the crate, for example because the folder exists.
pub fn new_crate(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    cargo(&["new", "--bin", "--quiet", "--"], Some(path), Path::new("."))?;
    let golo = golo();
    let golo: Vec<&str> = golo.iter().map(String::as_str).collect();
    cargo(&[&["add", "--quiet"], &golo[..]].concat(), None, path)?;
    cargo(&["add", "--quiet", "--dev", "tokio", "--features", "macros,rt"], None, path)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().replace(['-', ' '], "_");
    let main = path.join("src/main.rs");
    fs::write(&main, MAIN.replace(NAME, &name))
        .map_err(|error| Failure::from(format!("`{}`: {error}", main.display())))?;
    Ok(format!(
        "created the load test {shown}; its requests are in src/main.rs. Next steps:\n  cd {shown}\n  cargo test\n  \
         cargo run -- once -e TARGET_URL=http://127.0.0.1:8080/\n  \
         cargo run --release -- run --users 10 --duration 10s -e TARGET_URL=http://127.0.0.1:8080/"
    ))
}

/// Returns the arguments of `cargo add` for the SDK: the folder beside this crate if it exists, else the published version.
fn golo() -> Vec<String> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../golo"));
    match beside.canonicalize() {
        Ok(path) if path.join("Cargo.toml").is_file() => {
            vec!["golo".to_owned(), "--path".to_owned(), path.display().to_string()]
        }
        _ => vec![format!("golo@{}", env!("CARGO_PKG_VERSION"))],
    }
}

fn cargo(arguments: &[&str], last: Option<&Path>, folder: &Path) -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(arguments).args(last).current_dir(folder).status();
    let status = status.map_err(|error| Failure::from(format!("cargo cannot be run: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::from(format!("`cargo {}` failed", arguments[0]))) }
}
