//! The load test to run: a program, or a crate that is built first.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::support::failure::Failure;

/// A load test that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadTest {
    /// Name: the file name without its extension.
    pub name: String,
    /// Path of the program.
    pub path: PathBuf,
}

impl LoadTest {
    /// Finds the program at `path`, or builds the crate there in release mode.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no file, the folder is not a crate, or the crate cannot be built or has not exactly
    /// one program. The message says what is expected.
    pub fn find(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let about = path.metadata().map_err(|error| format!("`{shown}`: {error}"))?;
        let path = if about.is_dir() { build(path)? } else { path.to_owned() };
        let path = path.canonicalize().map_err(|error| format!("`{}`: {error}", path.display()))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, path })
    }
}

/// A line of cargo's JSON output.
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

/// Builds the crate in a folder. Cargo's messages go to the terminal.
fn build(folder: &Path) -> Result<PathBuf, String> {
    let shown = folder.display();
    if !folder.join("Cargo.toml").is_file() {
        return Err(format!("`{shown}` is a folder without a Cargo.toml; give a program, or the folder of a crate"));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut building = Command::new(cargo)
        .args(["build", "--release", "--message-format=json-render-diagnostics"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    let mut programs = Vec::new();
    if let Some(stdout) = building.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            programs.extend(serde_json::from_str(&line).ok().and_then(program));
        }
    }
    let status = building.wait().map_err(|error| format!("cargo cannot be waited for: {error}"))?;
    if !status.success() {
        return Err(format!("`{shown}` could not be built"));
    }
    match &programs[..] {
        [(_, path)] => Ok(path.clone()),
        [] => Err(format!("`{shown}` has no program: expected a `main` function, which `#[golo::loadtest]` generates")),
        many => {
            let names: Vec<_> = many.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!("`{shown}` has several programs, {}; give the one to run", names.join(", ")))
        }
    }
}

/// Returns the name and path of a program that was built.
fn program(message: Message) -> Option<(String, PathBuf)> {
    let target = message.target.filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
    (message.reason == "compiler-artifact").then_some((target.name, message.executable?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_file_and_plain_folder_are_errors() {
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
    fn load_test_is_named_after_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front.bin");
        std::fs::write(&path, "").unwrap();
        assert_eq!(LoadTest::find(&path).unwrap().name, "front");
    }

    #[test]
    fn only_bin_artifacts_are_programs() {
        let message = |text: &str| program(serde_json::from_str(text).unwrap());
        let built =
            r#"{"reason":"compiler-artifact","target":{"name":"front","kind":["bin"]},"executable":"/t/front"}"#;
        assert_eq!(message(built), Some(("front".to_owned(), "/t/front".into())));
        let script =
            r#"{"reason":"compiler-artifact","target":{"name":"build","kind":["custom-build"]},"executable":"/t/b"}"#;
        assert_eq!([message(script), message(r#"{"reason":"build-finished","success":true}"#)], [None, None]);
    }
}
