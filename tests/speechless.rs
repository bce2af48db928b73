//! An error that cannot be displayed.

use std::{error::Error, fmt};

/// An error that panics when it is formatted.
#[derive(Debug)]
pub struct Speechless;

impl fmt::Display for Speechless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("words fail me")
    }
}

impl Error for Speechless {}
