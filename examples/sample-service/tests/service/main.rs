//! Tests of every endpoint, over a real socket.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod counter;
mod forms;
mod http;
mod shop;
mod support;
