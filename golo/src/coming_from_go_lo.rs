#![doc = include_str!("../docs/coming-from-go-lo.md")]
