//! A load test among items that shadow the names an expansion might use.

#![allow(dead_code, non_upper_case_globals, unused_imports, unused_macros)]

struct Context;
struct Response;
struct Result;
struct Option;
struct Future;
struct Box;
struct Vec;
struct String;
struct Send;
struct ExitCode;
struct Adapter;
struct Trigger;
struct FromTrigger;
struct IntoResponse;
struct Loadtest;

enum Own {
    Ok,
    Err,
    Some,
    None,
}
use Own::{Err, None, Ok, Some};

const __private: u8 = 1;

mod std {}
mod core {}
mod golo {}

macro_rules! option_env {
    ($($anything:tt)*) => {
        compile_error!("not this one")
    };
}

fn returned() {}
fn trigger() {}

#[::golo::loadtest(name = "shadowed", setup = trigger::setup, teardown = returned::teardown)]
async fn user(context: ::golo::Context) -> ::std::vec::Vec<::golo::ResponseTag> {
    ::golo::tagify([("shadowed", context.job_name)])
}

mod trigger {
    pub(super) async fn setup() {}
}

mod returned {
    pub(super) async fn teardown() {}
}
