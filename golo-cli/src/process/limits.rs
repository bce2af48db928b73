//! Resource limits of a load test, as flags.

use std::time::Duration;

use clap::Args;
use golo::cli::OwnFlags;

use crate::{process::supervisor::Limits, support::failure::Failure};

/// Resource limits of a load test.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Memory limit of the load test with everything it starts; beyond it the run ends with 107. 2GiB or 2G (powers of
    /// 1024, also K, M, T), 2GB (powers of 1000), or bytes [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = memory)]
    max_memory: Option<u64>,
    /// Maximum number of open descriptors of each process [default: as many as golo may have]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_descriptors: Option<u64>,
}

impl LimitArgs {
    /// Returns the limits, with `grace` as the time to stop.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Limits {
        Limits { grace, memory: self.max_memory, descriptors: self.max_descriptors }
    }

    /// Returns the limits that are set, with their flags as keys.
    pub fn keys(self) -> impl Iterator<Item = (&'static str, u64)> {
        let keys = [("max-memory", self.max_memory), ("max-descriptors", self.max_descriptors)];
        keys.into_iter().filter_map(|(key, value)| Some((key, value?)))
    }
}

impl OwnFlags for LimitArgs {
    fn over(self, below: Self) -> Self {
        Self {
            max_memory: self.max_memory.or(below.max_memory),
            max_descriptors: self.max_descriptors.or(below.max_descriptors),
        }
    }
}

/// Parses a memory limit. Returns an error on systems that cannot limit memory.
fn memory(text: &str) -> Result<u64, Failure> {
    let bytes = bytes(text)?;
    if cfg!(target_os = "linux") { Ok(bytes) } else { Err("memory can be limited only on Linux".into()) }
}

/// Parses a number of bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, Failure> {
    let wrong = || Failure::from("expected a number of bytes above 0, for example 2GiB, 512M or 1500000000");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let unit = unit.trim_start().to_ascii_lowercase();
    let (letter, base) = match unit.as_bytes() {
        [] | [b'b'] => (None, 1_u64),
        [letter] | [letter, b'i', b'b'] => (Some(letter), 1024),
        [letter, b'b'] => (Some(letter), 1000),
        _ => return Err(wrong()),
    };
    let power = match letter {
        Some(letter) => b"kmgt".iter().zip(1..).find(|(known, _)| *known == letter).ok_or_else(wrong)?.1,
        None => 0,
    };
    let unit = base.pow(power);
    let bytes = match number.parse::<u64>() {
        Ok(number) => number.checked_mul(unit).ok_or_else(wrong)?,
        // Fractions such as `1.5GiB` are exact enough as floating-point numbers.
        Err(_) => number.parse::<f64>().map_err(|_| wrong()).map(|number| (number * unit as f64) as u64)?,
    };
    if bytes == 0 { Err(wrong()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_sizes_parse_with_common_units() {
        for (text, expected) in [
            ("1500000000", 1_500_000_000),
            ("512b", 512),
            ("64KiB", 64 << 10),
            ("64k", 64 << 10),
            ("512M", 512 << 20),
            ("2GiB", 2 << 30),
            ("2g", 2 << 30),
            ("2 GiB", 2 << 30),
            ("1.5GiB", 3 << 29),
            ("1TiB", 1 << 40),
            ("2GB", 2_000_000_000),
            ("100kB", 100_000),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "0.0001k", "GiB", "-1", "2X", "2bib", "1.5.5G", "2GiBs", "99999999999T", "é", "2é", "."]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
