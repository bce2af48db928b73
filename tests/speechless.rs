//! An error of a load test that is worse than what went wrong.

use std::{error::Error, fmt};

/// An error that panics when it is asked what it is.
#[derive(Debug)]
pub struct Speechless;

impl fmt::Display for Speechless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("words fail me")
    }
}

impl Error for Speechless {}
