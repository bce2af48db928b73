#![doc = include_str!("../docs/thresholds-in-ci.md")]
