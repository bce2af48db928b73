//! The token that callers must send.

use std::{convert::Infallible, fmt, str::FromStr};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A token that callers must send. It is kept as its hash: comparing hashes takes the same time for every guess.
#[derive(Clone)]
pub struct Token {
    hash: [u8; 32],
    is_short: bool,
}

/// Fewest characters of a token that other machines can try to guess.
pub(super) const LEAST: usize = 16;

impl Token {
    /// Returns the token with this text.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, as the end of a sentence, if the text is empty or has characters that a header may not have.
    pub fn new(text: &Secret) -> Result<Self, &'static str> {
        match text.reveal() {
            "" => Err("is empty: expected a text that is hard to guess"),
            text if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self { hash: hash(text), is_short: text.len() < LEAST })
            }
            _ => {
                Err("has blanks or other characters that no header may have: expected ASCII letters, digits and signs")
            }
        }
    }

    /// True if `text` is this token.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.hash.ct_eq(&hash(text)).into()
    }

    /// Returns the hash of the text.
    pub(super) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// True if trying can find it.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
