//! The load test that is to be run: a program, or a crate that is built first.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

/// What `golo run` was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadTest {
    /// What it is called: its file's name.
    pub name: String,
    /// The program.
    pub path: PathBuf,
}

impl LoadTest {
    /// The program at `path`, or that of the crate there, built in release.
    ///
    /// # Errors
    ///
    /// Where there is nothing, where it is no program or crate, or where the crate cannot be built: why, and what would be
    /// right.
    pub fn find(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let about = path.metadata().map_err(|error| format!("`{shown}`: {error}"))?;
        let path = if about.is_dir() { build(path)? } else { path.to_owned() };
        let path = path.canonicalize().map_err(|error| format!("`{}`: {error}", path.display()))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, path })
    }
}

/// A line of what cargo says of a build.
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

/// Builds the crate in a folder; cargo's messages are passed through.
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
        [] => Err(format!("`{shown}` has no program: a load test has a `main`, which `#[golo::loadtest]` writes")),
        many => {
            let names: Vec<_> = many.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!("`{shown}` has several programs, {}; give the one to run", names.join(", ")))
        }
    }
}

/// A program that was built, and its name.
fn program(message: Message) -> Option<(String, PathBuf)> {
    let target = message.target.filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
    (message.reason == "compiler-artifact").then_some((target.name, message.executable?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_load_test_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = LoadTest::find(&folder.path().join("none")).unwrap_err();
        assert!(error.ends_with("(os error 2)"), "{error}");
        let error = LoadTest::find(folder.path()).unwrap_err();
        assert!(
            error.ends_with("is a folder without a Cargo.toml; give a program, or the folder of a crate"),
            "{error}"
        );
    }

    #[test]
    fn a_program_is_called_by_its_files_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front.bin");
        std::fs::write(&path, "").unwrap();
        assert_eq!(LoadTest::find(&path).unwrap().name, "front");
    }

    #[test]
    fn only_programs_are_programs() {
        let message = |text: &str| program(serde_json::from_str(text).unwrap());
        let built =
            r#"{"reason":"compiler-artifact","target":{"name":"front","kind":["bin"]},"executable":"/t/front"}"#;
        assert_eq!(message(built), Some(("front".to_owned(), "/t/front".into())));
        let script =
            r#"{"reason":"compiler-artifact","target":{"name":"build","kind":["custom-build"]},"executable":"/t/b"}"#;
        assert_eq!([message(script), message(r#"{"reason":"build-finished","success":true}"#)], [None, None]);
    }
}
