#![doc = include_str!("../docs/choosing-a-model.md")]
