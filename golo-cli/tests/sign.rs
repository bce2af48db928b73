//! `golo sign`, and the tool `minisign` as the other side.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use golo_cli::process::signature::Trust;
use tempfile::TempDir;

/// A folder with a file to sign.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("shop"), "a program").unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str], password: Option<&str>) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null()).env_remove("GOLO_SIGN_PASSWORD");
        command.envs(password.map(|password| ("GOLO_SIGN_PASSWORD", password)));
        command.output().unwrap()
    }

    fn golo(&self, arguments: &[&str], password: Option<&str>) -> Output {
        self.run(env!("CARGO_BIN_EXE_golo"), &[&["sign"], arguments].concat(), password)
    }

    /// Creates the key `a.key`, and returns its public key.
    fn key(&self, password: &str) -> String {
        let made = self.golo(&["--new-key", "a.key"], Some(password));
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    fn is_trusted(&self, key: &str) -> bool {
        let signature = fs::read_to_string(self.path("shop.minisig")).unwrap();
        Trust::of(&[key.to_owned()]).unwrap().check(Path::new(&self.path("shop")), Some(&signature)).is_ok()
    }
}

fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(104) && output.stdout.is_empty(), "{output:?}");
    said
}

#[test]
fn signed_load_test_is_trusted_until_it_changes() {
    let place = Place::new();
    let public = place.key("");
    assert_eq!(fs::metadata(place.path("a.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let signed = place.golo(&["shop", "--key", "a.key"], None);
    assert_eq!(String::from_utf8_lossy(&signed.stdout), "shop.minisig\n", "{signed:?}");
    assert!(place.is_trusted(&public) && place.is_trusted(&place.path("a.key.pub")));
    fs::write(place.path("shop"), "another program").unwrap();
    assert!(!place.is_trusted(&public));
}

#[test]
fn key_with_a_password_signs_with_it_only() {
    let place = Place::new();
    let public = place.key("hush");
    let sign = |password| place.golo(&["shop", "--key", "a.key"], password);
    let asked = refusal(&sign(None));
    assert!(asked.contains("there is no terminal; set `GOLO_SIGN_PASSWORD`"), "{asked}");
    assert!(refusal(&sign(Some("push"))).contains("`a.key` cannot be opened: "));
    assert!(!Path::new(&place.path("shop.minisig")).exists());
    assert!(sign(Some("hush")).status.success());
    assert!(place.is_trusted(&public));
}

#[test]
fn keys_are_never_overwritten() {
    let place = Place::new();
    place.key("");
    let before = fs::read(place.path("a.key")).unwrap();
    let said = refusal(&place.golo(&["--new-key", "a.key"], Some("")));
    assert!(said.contains("`a.key` exists already: a key is never overwritten"), "{said}");
    assert_eq!(fs::read(place.path("a.key")).unwrap(), before);
    fs::remove_file(place.path("a.key")).unwrap();
    let said = refusal(&place.golo(&["--new-key", "a.key"], Some("")));
    assert!(said.contains("`a.key.pub` exists already"), "{said}");
    assert!(!Path::new(&place.path("a.key")).exists());
}

#[test]
fn wrong_command_lines_are_refused_with_a_reason() {
    let place = Place::new();
    place.key("");
    for (arguments, reason) in [
        (&["shop"][..], "--key"),
        (&[], "BINARY"),
        (&["shop", "--key", "none"], "`none` cannot be read: No such file"),
        (&["shop", "--key", "shop"], "`shop` is no secret key: expected a file that"),
        (&["shop", "--key", "a.key.pub"], "`a.key.pub` is no secret key"),
        (&["none", "--key", "a.key"], "`none`: the load test cannot be read: No such file"),
        (&["shop", "--key", "a.key", "--new-key", "b.key"], "--new-key"),
    ] {
        let said = refusal(&place.golo(arguments, Some("")));
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

#[test]
fn minisign_accepts_golos_signatures_and_golo_those_of_minisign() {
    if Command::new("minisign").arg("-v").output().is_err() {
        eprintln!("skipped: minisign is not installed");
        return;
    }
    let place = Place::new();
    let public = place.key("");
    place.golo(&["shop", "--key", "a.key"], None);
    let verified = place.run("minisign", &["-Vm", "shop", "-P", &public], None);
    assert!(verified.status.success(), "{verified:?}");

    let made = place.run("minisign", &["-G", "-W", "-p", "b.pub", "-s", "b.key"], None);
    assert!(made.status.success(), "{made:?}");
    let signed = place.run("minisign", &["-Sm", "shop", "-s", "b.key"], None);
    assert!(signed.status.success(), "{signed:?}");
    assert!(place.is_trusted(&place.path("b.pub")) && !place.is_trusted(&public));
    let signed = place.golo(&["shop", "--key", "b.key"], None);
    assert!(signed.status.success() && place.is_trusted(&place.path("b.pub")), "{signed:?}");
}
