//! A load test with unit tests that call its function.

use golo::{Context, Response, Shared};

struct Visitor(u32);

impl golo::User for Visitor {
    async fn start(_: &Context) -> Result<Self, golo::BoxError> {
        Ok(Self(0))
    }
}

async fn limit() -> u32 {
    3
}

#[golo::loadtest(setup = limit)]
async fn journey(visitor: &mut Visitor, limit: Shared<u32>, response: Response) -> Result<Response, String> {
    visitor.0 += 1;
    if visitor.0 > *limit { Err(format!("{} visits", visitor.0)) } else { Ok(response) }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn visit(visitor: &mut Visitor) -> Result<Response, String> {
        let journey = pin!(journey(visitor, Shared::new(3), Response::default()));
        match journey.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(returned) => returned,
            Poll::Pending => panic!("nothing to wait for"),
        }
    }

    #[test]
    fn visitor_within_the_limit_passes() {
        assert_eq!(visit(&mut Visitor(0)), Ok(Response::default()));
    }

    #[test]
    fn visitor_beyond_the_limit_fails() {
        assert_eq!(visit(&mut Visitor(3)), Err("4 visits".to_owned()));
    }
}
