//! Signatures of load tests: Ed25519 in the format of minisign, so that its tools can sign and verify them too.
//!
//! Format: <https://jedisct1.github.io/minisign/#signature-format>. The signature covers the whole file, as its BLAKE2b
//! hash; signatures of the legacy format without a hash are refused.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use minisign::{PublicKey, PublicKeyBox, SecretKey, SignatureBox};

/// What is appended to the name of a file for that of its signature.
const EXTENSION: &str = ".minisig";
/// Maximum length of the text of a signature in bytes. minisign's own comments have up to 8 KiB.
const LONGEST: usize = 16 << 10;

/// Returns the path at which the signature of a file is expected: `shop.minisig` for `shop`.
#[must_use]
pub fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(EXTENSION);
    path.into()
}

/// Why a load test is not trusted, or cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("the load test is not signed, and this agent only runs those that {keys} signed: see `golo sign`")]
    Missing {
        /// The trusted keys.
        keys: String,
    },
    /// The signature is not in the format.
    #[error("the signature cannot be read: expected the text of a file {EXTENSION} as `golo sign` writes it")]
    Unreadable,
    /// Another key signed the load test.
    #[error("the load test is signed by the key {key}, and this agent only trusts {keys}")]
    Untrusted {
        /// ID of the key.
        key: KeyId,
        /// The trusted keys.
        keys: String,
    },
    /// The signature is of another file, or not by the key that it names.
    #[error("the signature of the key {0} is not of this load test: it was changed, or another file was signed")]
    Wrong(KeyId),
    /// A public key cannot be read.
    #[error(
        "`{0}` is no public key: expected one as minisign writes it (56 characters that begin with RW), or a file with it"
    )]
    NoKey(String),
    /// A secret key cannot be used, for this reason.
    #[error("the secret key cannot be used: {0}")]
    Secret(String),
    /// The load test cannot be read.
    #[error("the load test cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// ID of a key, as minisign shows it: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(u64);

impl KeyId {
    fn of(number: &[u8]) -> Self {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(number).for_each(|(byte, number)| *byte = *number);
        Self(u64::from_le_bytes(bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// The public keys whose signatures an agent trusts. Without keys it trusts every load test.
#[derive(Debug, Default)]
pub struct Trust {
    keys: Vec<PublicKey>,
}

impl Trust {
    /// Reads public keys: each is a key in base64, or the path of a file as minisign writes it.
    ///
    /// # Errors
    ///
    /// Returns an error that contains the first text that is no key.
    pub fn of(keys: &[String]) -> Result<Self, SignatureError> {
        let keys = keys.iter().map(|text| public_key(text).ok_or_else(|| SignatureError::NoKey(text.clone())));
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// Checks that the program at `path` was signed by one of the keys. `signature` is the text of its signature.
    ///
    /// # Errors
    ///
    /// Returns an error if it was not, or if the program cannot be read.
    pub fn check(&self, path: &Path, signature: Option<&str>) -> Result<(), SignatureError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let text = signature.ok_or_else(|| SignatureError::Missing { keys: self.names() })?;
        let signature = (text.len() <= LONGEST).then(|| SignatureBox::from_string(text).ok()).flatten();
        let signature = signature.filter(SignatureBox::is_prehashed).ok_or(SignatureError::Unreadable)?;
        let key = KeyId::of(signature.keynum());
        let trusted = self.keys.iter().find(|trusted| trusted.keynum() == signature.keynum());
        let trusted = trusted.ok_or_else(|| SignatureError::Untrusted { key, keys: self.names() })?;
        let file = BufReader::new(File::open(path)?);
        // Neither prints nor copies the file, and takes no legacy signature.
        minisign::verify(trusted, &signature, file, true, false, false).map_err(|_| SignatureError::Wrong(key))
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.keys.iter().map(|key| KeyId::of(key.keynum()).to_string()).collect();
        names.join(" or ")
    }
}

fn public_key(text: &str) -> Option<PublicKey> {
    PublicKey::from_base64(text).ok().or_else(|| {
        let file = std::fs::read_to_string(text).ok()?;
        PublicKeyBox::from_string(&file).ok()?.into_public_key().ok()
    })
}

/// Returns the text of the signature of a file. Its trusted comment has the time and the name of the file.
///
/// # Errors
///
/// Returns an error if the file cannot be read or the key cannot sign.
pub fn sign(key: &SecretKey, path: &Path, seconds: u64) -> Result<String, SignatureError> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let comment = format!("timestamp:{seconds}\tfile:{name}\thashed");
    let file = BufReader::new(File::open(path)?);
    let signature = minisign::sign(None, key, file, Some(&comment), Some("signature of a golo load test"));
    Ok(signature.map_err(|error| SignatureError::Secret(error.to_string()))?.into_string())
}

#[cfg(test)]
mod tests {
    use minisign::KeyPair;

    use super::*;

    fn keys() -> KeyPair {
        KeyPair::generate_unencrypted_keypair().unwrap()
    }

    fn signed() -> (tempfile::TempDir, PathBuf, KeyPair, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop");
        std::fs::write(&path, "a program").unwrap();
        let keys = keys();
        let signature = sign(&keys.sk, &path, 7).unwrap();
        (folder, path, keys, signature)
    }

    #[test]
    fn program_that_a_trusted_key_signed_is_trusted() {
        let (_folder, path, signer, signature) = signed();
        let trust = Trust::of(&[keys().pk.to_base64(), signer.pk.to_base64()]).unwrap();
        trust.check(&path, Some(&signature)).unwrap();
        assert!(signature.contains("trusted comment: timestamp:7\tfile:shop\thashed"), "{signature}");
        Trust::default().check(&path, None).unwrap();
    }

    #[test]
    fn program_that_was_changed_or_signed_by_others_is_refused() {
        let (_folder, path, signer, signature) = signed();
        let id = KeyId::of(signer.pk.keynum());
        let check = |trust: &Trust, signature: Option<&str>| trust.check(&path, signature).unwrap_err().to_string();
        let other = Trust::of(&[keys().pk.to_base64()]).unwrap();
        assert!(check(&other, Some(&signature)).starts_with(&format!("the load test is signed by the key {id}, and")));
        assert!(check(&other, None).starts_with("the load test is not signed"));
        let trust = Trust::of(&[signer.pk.to_base64()]).unwrap();
        for text in ["", "nonsense", &signature[..signature.len() / 2], &"x".repeat(20_000)] {
            assert!(check(&trust, Some(text)).starts_with("the signature cannot be read"), "{text}");
        }
        // The comment is signed too.
        let renamed = signature.replace("file:shop", "file:desk");
        let wrong = format!("the signature of the key {id} is not of this load test: ");
        assert!(check(&trust, Some(&renamed)).starts_with(&wrong));
        std::fs::write(&path, "b program").unwrap();
        assert!(check(&trust, Some(&signature)).starts_with(&wrong));
    }

    #[test]
    fn key_that_claims_the_id_of_a_trusted_one_is_refused() {
        let (_folder, path, signer, _) = signed();
        let mut forger = keys().sk.to_bytes();
        // Bytes 54 to 62 of a secret key are its ID.
        forger[54..62].copy_from_slice(signer.sk.keynum());
        let forger = SecretKey::from_bytes(&forger).unwrap();
        let signature = sign(&forger, &path, 7).unwrap();
        let trust = Trust::of(&[signer.pk.to_base64()]).unwrap();
        let refused = trust.check(&path, Some(&signature)).unwrap_err();
        assert!(matches!(refused, SignatureError::Wrong(_)), "{refused}");
    }

    #[test]
    fn keys_are_read_from_text_or_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golo.pub");
        let public = keys().pk;
        std::fs::write(&path, public.to_box().unwrap().into_string()).unwrap();
        assert_eq!(Trust::of(&[path.display().to_string()]).unwrap().names(), KeyId::of(public.keynum()).to_string());
        for text in ["", "RWno", "/nowhere"] {
            let error = Trust::of(&[text.to_owned()]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is no public key: expected one")), "{error}");
        }
    }
}
