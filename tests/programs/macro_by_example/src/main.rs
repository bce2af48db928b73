//! A load test that a `macro_rules!` macro wrote, with the types and the names it was given.

use golo::{Context, Shared};

struct Visitor(u64);

impl golo::User for Visitor {
    async fn start(_: &Context) -> Result<Self, golo::BoxError> {
        Ok(Self(6))
    }
}

macro_rules! load_test {
    ($title:literal, $name:ident, $setup:path, $state:ty, $whole:ty, $shared:ty, $returned:ty, $body:expr) => {
        #[golo::loadtest(name = $title, setup = $setup)]
        async fn $name(state: &mut $state, context: $whole, shared: Shared<$shared>) -> $returned {
            let visits: fn(&mut $state, u64) -> u64 = $body;
            let trigger = visits(state, *shared);
            golo::tagify([("visits", trigger.to_string()), ("job", context.job_name)])
        }
    };
}

async fn seven() -> u64 {
    7
}

load_test!("by example", trigger, self::seven, Visitor, Context, u64, Vec<golo::ResponseTag>, |visitor, times| visitor
    .0
    * times);
