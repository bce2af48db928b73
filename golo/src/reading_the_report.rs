#![doc = include_str!("../docs/reading-the-report.md")]
