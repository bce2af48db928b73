//! A load test that panics outside of its triggers, starts or stops slowly, or pauses. The job name selects which.

use std::future::pending;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use golo::{BoxError, Context, Shared};

/// Number of panics that the load test's own hook has seen.
static HOOKED: AtomicU64 = AtomicU64::new(0);

struct Kitchen {
    /// Number of triggers so far.
    orders: AtomicU64,
}

async fn open() -> Kitchen {
    if golo::param("HOOK").is_some() {
        // Replaces golo's hook, as a load test may do.
        std::panic::set_hook(Box::new(|_| _ = HOOKED.fetch_add(1, SeqCst)));
    }
    Kitchen { orders: AtomicU64::new(0) }
}

async fn close() {
    golo_tests::tell(format_args!("the hook has seen {}", HOOKED.load(SeqCst)));
    if golo::param("TEARDOWN").is_some() {
        let _ = golo::spawn(async { panic!("the lights stay on") }).await;
    }
}

struct Cook {
    job: String,
}

impl golo::User for Cook {
    async fn start(context: &Context) -> Result<Self, BoxError> {
        if context.job_name == "start slowly" {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        Ok(Self { job: context.job_name.clone() })
    }

    async fn stop(self) {
        match &*self.job {
            "stop" => panic!("a cook does not leave"),
            "never stop" => pending().await,
            _ => {}
        }
    }
}

#[golo::loadtest(setup = open, teardown = close)]
async fn strays(cook: &mut Cook, kitchen: Shared<Kitchen>) -> Result<(), BoxError> {
    let number = kitchen.orders.fetch_add(1, SeqCst);
    match &*cook.job {
        "task" if number < 2 => _ = golo::spawn(async { panic!("the oven is cold") }).await,
        "plain task" if number < 2 => _ = tokio::spawn(async { panic!("the oven is cold") }).await,
        "thread" if number < 2 => _ = thread::spawn(|| panic!("the oven is cold")).join(),
        "named thread" if number < 2 => {
            _ = thread::Builder::new().name("oven".to_owned()).spawn(|| panic!("the oven is cold"))?.join();
        }
        "trigger" if number < 2 => panic!("the oven is cold"),
        "think" => golo::think(Duration::from_millis(300)).await,
        "block" => thread::sleep(Duration::from_millis(30)),
        _ => {}
    }
    golo::measure("order", "serve", async { Ok::<_, BoxError>(()) }).await
}
