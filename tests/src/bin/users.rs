//! A load test with users that report on stderr when they start, stop or are dropped.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use golo::{BoxError, Context, Response, Shared};
use tokio::sync::{Barrier, Semaphore};

/// Number of triggers of the job `meet` that wait for each other.
const PARTY: usize = 20;

struct House {
    set_ups: u64,
    visitors: AtomicU64,
    failed_starts: AtomicU64,
    party: Barrier,
    pair: Barrier,
    door: Arc<Semaphore>,
}

async fn open() -> House {
    static SET_UPS: AtomicU64 = AtomicU64::new(0);
    eprintln!("set up");
    House {
        set_ups: SET_UPS.fetch_add(1, SeqCst) + 1,
        visitors: AtomicU64::new(0),
        failed_starts: AtomicU64::new(0),
        party: Barrier::new(PARTY),
        pair: Barrier::new(2),
        door: Arc::new(Semaphore::new(0)),
    }
}

async fn close(house: Shared<House>) {
    golo_tests::tell(format_args!("torn down after {}", house.visitors.load(SeqCst)));
}

/// State of one user: its number and its visits.
struct Visitor {
    number: u64,
    visits: u64,
    stopped: bool,
    panics_at_stop: bool,
}

impl golo::User for Visitor {
    async fn start(context: &Context) -> Result<Self, BoxError> {
        let house = Shared::<House>::current().ok_or("nothing is shared")?;
        if context.job_name.starts_with("cannot start") && house.failed_starts.fetch_add(1, SeqCst) % 2 == 0 {
            match &*context.job_name {
                "cannot start" => return Err("no table is free".into()),
                "cannot start for a panic" => panic!("the door is stuck"),
                "cannot start for ever" => {
                    eprintln!("a visitor waits for ever");
                    std::future::pending().await
                }
                other => return Err(other.into()),
            }
        }
        let number = house.visitors.fetch_add(1, SeqCst);
        let credentials = serde_json::json!({ "user": format!("visitor-{number}"), "password": "secret" });
        golo::do_request("login", golo::client().post(page("login")).json(&credentials)).await?;
        golo_tests::tell(format_args!("visitor {number} started"));
        Ok(Self { number, visits: 0, stopped: false, panics_at_stop: false })
    }

    async fn stop(mut self) {
        self.stopped = true;
        let account = golo::do_request("logout", golo::client().get(page("account"))).await;
        let status = account.map(|account| account.status().as_u16()).unwrap_or_default();
        golo_tests::tell(format_args!("visitor {} stopped after {}, status {status}", self.number, self.visits));
        if self.panics_at_stop {
            panic!("visitor {} does not leave", self.number);
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if !self.stopped {
            golo_tests::tell(format_args!("visitor {} dropped", self.number));
        }
    }
}

#[golo::loadtest(setup = open, teardown = close)]
async fn users(visitor: &mut Visitor, context: Context, house: Shared<House>) -> Result<Response, BoxError> {
    visitor.visits += 1;
    let mut output = serde_json::json!({
        "visitor": visitor.number,
        "visits": visitor.visits,
        "setUps": house.set_ups,
        "iteration": context.iteration,
    });
    match &*context.job_name {
        "meet" => {
            house.party.wait().await;
        }
        "meet one other" => {
            house.pair.wait().await;
        }
        "wait at the door" => house.door.acquire().await?.forget(),
        "open the door" => house.door.add_permits(1),
        "panic" => panic!("visitor {} is lost", visitor.number),
        "panic at stop" => visitor.panics_at_stop = true,
        "fail" => return Err("out of stock".into()),
        "account" => {
            let account = golo::do_request("account", golo::client().get(page("account"))).await?;
            let account: serde_json::Value = account.json().await?;
            output["account"] = account["user"].clone();
        }
        _ => {}
    }
    Ok(Response { output: output.to_string(), ..Response::default() })
}

fn page(path: &str) -> String {
    format!("{}{path}", golo::param("TARGET_URL").unwrap_or_default())
}
