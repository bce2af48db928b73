//! The load test to run: a program, or a crate that is built first.

use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::support::failure::Failure;

/// A load test on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadTest {
    /// Its name: that of its file, without extension.
    pub name: String,
    /// Path of the program.
    pub path: PathBuf,
}

impl LoadTest {
    /// Returns the program at `path`. If `path` is the folder of a crate, its program is built in release.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no program or crate at `path`, or if the crate cannot be built.
    pub fn find(path: &Path) -> Result<Self, Failure> {
        let unreadable = |path: &Path, error: io::Error| Failure::from(format!("`{}`: {error}", path.display()));
        let about = path.metadata().map_err(|error| unreadable(path, error))?;
        let path = if about.is_dir() { build(path)? } else { path.to_owned() };
        let path = path.canonicalize().map_err(|error| unreadable(&path, error))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, path })
    }
}

/// A message of cargo about a build.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds the crate in a folder, and returns its program. Cargo's messages are passed through.
fn build(folder: &Path) -> Result<PathBuf, Failure> {
    let wrong = |reason: &str| Failure::from(format!("`{}` {reason}", folder.display()));
    if !folder.join("Cargo.toml").is_file() {
        return Err(wrong("is a folder without a Cargo.toml; give a program, or the folder of a crate"));
    }
    let failed = |error: io::Error| Failure::from(format!("cargo cannot be run: {error}"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut building = Command::new(cargo)
        .args(["build", "--release", "--message-format=json-render-diagnostics"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut programs = Vec::new();
    if let Some(stdout) = building.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            programs.extend(serde_json::from_str(&line).ok().and_then(program));
        }
    }
    if !building.wait().map_err(failed)?.success() {
        return Err(wrong("could not be built"));
    }
    match &programs[..] {
        [program] => Ok(program.path.clone()),
        [] => Err(wrong("has no program: expected a `main` function, which `#[golo::loadtest]` generates")),
        many => {
            let names: Vec<_> = many.iter().map(|program| program.name.as_str()).collect();
            Err(wrong(&format!("has several programs, {}; give the one to run", names.join(", "))))
        }
    }
}

/// Returns the program that a message is about, if any.
fn program(message: Message) -> Option<LoadTest> {
    let target = message.target.filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
    let path = message.executable.filter(|_| message.reason == "compiler-artifact")?;
    Some(LoadTest { name: target.name, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = LoadTest::find(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.ends_with("(os error 2)"), "{error}");
        let error = LoadTest::find(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("is a folder without a Cargo.toml; give a program, or the folder of a crate"),
            "{error}"
        );
    }

    #[test]
    fn program_has_the_name_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front.bin");
        std::fs::write(&path, "").unwrap();
        assert_eq!(LoadTest::find(&path).unwrap().name, "front");
    }

    #[test]
    fn only_binaries_are_programs() {
        let message = |text: &str| program(serde_json::from_str(text).unwrap());
        let built =
            r#"{"reason":"compiler-artifact","target":{"name":"front","kind":["bin"]},"executable":"/t/front"}"#;
        assert_eq!(message(built), Some(LoadTest { name: "front".to_owned(), path: "/t/front".into() }));
        let script =
            r#"{"reason":"compiler-artifact","target":{"name":"build","kind":["custom-build"]},"executable":"/t/b"}"#;
        assert_eq!([message(script), message(r#"{"reason":"build-finished","success":true}"#)], [None, None]);
    }
}
