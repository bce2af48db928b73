//! Tests across the crates of golo. The tests are in `tests/`; this library is empty.
