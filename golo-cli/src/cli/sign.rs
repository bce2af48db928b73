//! `golo sign`: signs load tests, so that agents with `--trust` run them.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use console::Term;
use minisign::{KeyPair, SecretKey, SecretKeyBox};

use crate::cli::command::answered;
use crate::process::signature::{beside, sign as signature_of};
use crate::support::failure::Failure;
use crate::support::moments::now;

/// Variable with the password of the secret key.
const PASSWORD: &str = "GOLO_SIGN_PASSWORD";

/// Flags of `golo sign`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  golo sign --new-key shop.key
  golo sign target/release/shop --key shop.key
  golo agent --trust shop.key.pub
  golo submit target/release/shop --agent load1:8081

A signature is a file beside the load test, `shop.minisig`, which `golo submit` sends along. It and the keys are in the format \
of minisign, whose tools can sign and verify too. The password of a secret key is read from GOLO_SIGN_PASSWORD, or asked for on \
the terminal. An empty one leaves the key unprotected. A build changes the load test: sign it again.")]
pub struct SignLine {
    /// Load test to sign
    #[arg(value_name = "BINARY", required_unless_present = "new_key", requires = "key")]
    binary: Option<PathBuf>,
    /// Secret key to sign with
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Create a secret key, and beside it the public key for `--trust` of agents, FILE.pub
    #[arg(long, value_name = "FILE", conflicts_with_all = ["binary", "key"])]
    new_key: Option<PathBuf>,
}

/// Signs a load test, or creates a key.
#[must_use]
pub fn sign(line: SignLine) -> ExitCode {
    answered(match line {
        SignLine { new_key: Some(path), .. } => create(&path),
        SignLine { binary: Some(binary), key: Some(key), .. } => sign_file(&binary, &key),
        // The command line does not allow it.
        _ => Err("expected a load test and `--key FILE`, or `--new-key FILE`".into()),
    })
}

fn sign_file(binary: &Path, key: &Path) -> Result<String, Failure> {
    let key = read_key(key)?;
    let to = beside(binary);
    let text = signature_of(&key, binary, now() / 1_000_000_000)
        .map_err(|error| Failure::from(format!("`{}`: {error}", binary.display())))?;
    std::fs::write(&to, text).map_err(|error| unwritten(&to, &error))?;
    Ok(format!("{}\n", to.display()))
}

/// Creates a key pair, and returns the public key.
fn create(path: &Path) -> Result<String, Failure> {
    let mut public_path = path.as_os_str().to_owned();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    if let Some(taken) = [path, &public_path].into_iter().find(|path| path.exists()) {
        return Err(format!("`{}` exists already: a key is never overwritten", taken.display()).into());
    }
    let password = password(|| {
        let password = ask("Password of the new key, or nothing for none: ")?;
        if !password.is_empty() && ask("The same password again: ")? != password {
            return Err("the passwords differ".into());
        }
        Ok(password)
    })?;
    let unmade = |error: minisign::PError| Failure::from(format!("no key can be created: {error}"));
    let KeyPair { pk, sk } = match password.is_empty() {
        true => KeyPair::generate_unencrypted_keypair().map_err(unmade)?,
        false => KeyPair::generate_encrypted_keypair(Some(password)).map_err(unmade)?,
    };
    let secret = sk.to_box(Some("secret key of golo load tests")).map_err(unmade)?.into_string();
    let public = pk.to_box().map_err(unmade)?.into_string();
    write_new(path, &secret, 0o600)?;
    write_new(&public_path, &public, 0o644)?;
    Ok(format!("{}\n", pk.to_base64()))
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| unwritten(path, &error))
}

fn read_key(path: &Path) -> Result<SecretKey, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    // The key is in the second line, after a comment.
    let bytes = text.lines().nth(1).and_then(|line| STANDARD.decode(line.trim()).ok());
    let key = bytes.and_then(|bytes| SecretKey::from_bytes(&bytes).ok()).ok_or_else(|| {
        format!("`{shown}` is no secret key: expected a file that `golo sign --new-key` or minisign wrote")
    })?;
    if !key.is_encrypted() {
        return Ok(key);
    }
    let password = password(|| ask(&format!("Password of {shown}: ")))?;
    let opened = SecretKeyBox::from_string(&text).and_then(|key| key.into_secret_key(Some(password)));
    opened.map_err(|error| format!("`{shown}` cannot be opened: {error}").into())
}

/// Returns the password from the environment, where an empty one means none, or the answer of the user.
fn password(ask: impl FnOnce() -> Result<String, Failure>) -> Result<String, Failure> {
    std::env::var(PASSWORD).map_or_else(|_| ask(), Ok)
}

/// Asks for a password on the terminal, without showing what is typed.
fn ask(question: &str) -> Result<String, Failure> {
    let terminal = Term::stderr();
    let asked = match terminal.is_term() {
        true => terminal.write_str(question).and_then(|()| terminal.read_secure_line()),
        false => Err(io::Error::other("there is no terminal")),
    };
    asked.map_err(|error| format!("a password is needed, and cannot be asked for: {error}; set `{PASSWORD}`").into())
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    format!("`{}` cannot be written: {error}", path.display()).into()
}
