//! State that code within a trigger can use: its sequence ID, its user's cookies, its sink, its think time.

use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use golo::{Context, Loadtest, OutputRef, Sink};
use serde_json::json;
use tokio::sync::{Barrier, Notify};

use crate::service;
use crate::support::{Collected, patiently, triggered};

fn user(user: u64) -> Context {
    Context { user: Some(user), ..Context::default() }
}

async fn log_in(name: &str) {
    let credentials = json!({"user": name, "password": "secret"});
    let login = golo::client().post(service().url_of("/login")).json(&credentials);
    assert_eq!(golo::do_request("journey", login).await.unwrap().status(), 200);
}

/// Returns the user that the session cookie belongs to.
async fn account() -> Option<String> {
    let response = golo::do_request("journey", golo::client().get(service().url_of("/account"))).await.unwrap();
    let account: serde_json::Value = response.json().await.unwrap();
    account["user"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn first_sequence_id_is_the_id_of_the_trigger() {
    let loadtest = Loadtest::new(|context: Context, mut response: golo::Response| async move {
        match context.job_name.as_str() {
            "noted" => {
                let journey = golo::new_sequence_id();
                let _ = golo::new_sequence_id();
                golo::do_request("another", golo::client().get(service().url())).await.unwrap();
                response.tags = golo::tagify([("journey", journey)]);
            }
            "" => drop(golo::do_request("", golo::client().get(service().url())).await),
            "request" => drop(golo::do_request("request", golo::client().get(service().url())).await),
            "measure" => golo::measure("measure", "nothing", async { Ok::<_, String>(()) }).await.unwrap(),
            "spawned" => {
                golo::spawn(async { drop(golo::measure("spawned", "x", async { Ok::<_, String>(()) }).await) })
                    .await
                    .unwrap()
            }
            "own" => {
                let _ = golo::new_sequence_id();
                response.id = "own".to_owned();
            }
            _ => {}
        }
        response
    })
    .sink(Collected::default());
    let trigger =
        async |job: &str| patiently(loadtest.trigger(Context { job_name: job.to_owned(), ..Context::default() })).await;
    let noted = trigger("noted").await;
    assert_eq!(noted.id, noted.tags[0].value);
    for job in ["request", "measure", "spawned", "own"] {
        let response = trigger(job).await;
        assert_eq!((response.id.as_str(), response.job_name.as_str()), (job, job));
    }
    // Without a sequence ID, or with an empty one, the trigger gets a new ID.
    for job in ["nothing", ""] {
        let (one, two) = (trigger(job).await.id, trigger(job).await.id);
        assert_eq!((one.len(), two.len()), (36, 36), "{job}");
        assert_ne!(one, two);
    }
}

#[tokio::test]
async fn spawned_tasks_belong_to_the_trigger() {
    let (name, outputs) = triggered(async {
        log_in("ada").await;
        // In a spawned task, and in a task spawned by that.
        golo::spawn(async { golo::spawn(account()).await.unwrap() }).await.unwrap()
    })
    .await;
    assert_eq!(name.as_deref(), Some("ada"));
    assert_eq!(outputs.len(), 2);
}

#[tokio::test]
async fn users_of_one_client_have_separate_cookies() {
    let both_are_in = Arc::new(Barrier::new(2));
    let barrier = Arc::clone(&both_are_in);
    let loadtest = Arc::new(
        Loadtest::new(move |context: Context, mut response: golo::Response| {
            let both_are_in = Arc::clone(&barrier);
            async move {
                if context.iteration == Some(0) {
                    log_in(&format!("user-{}", context.user.unwrap())).await;
                    both_are_in.wait().await;
                }
                response.tags = golo::tagify([("account", account().await.unwrap_or_default())]);
                response
            }
        })
        .sink(Collected::default()),
    );
    let accounts = async |iteration| {
        let trigger = |user| {
            let loadtest = Arc::clone(&loadtest);
            let context = Context { user: Some(user), iteration: Some(iteration), ..Context::default() };
            tokio::spawn(async move { loadtest.trigger(context).await.tags[0].value.clone() })
        };
        let (one, two) = (trigger(1), trigger(2));
        patiently(async { (one.await.unwrap(), two.await.unwrap()) }).await
    };
    let expected = ("user-1".to_owned(), "user-2".to_owned());
    assert_eq!(accounts(0).await, expected);
    assert_eq!(accounts(1).await, expected, "a user keeps its cookies");
    let stranger = patiently(loadtest.trigger(user(3))).await;
    assert_eq!(stranger.tags[0].value, "");
}

#[tokio::test]
async fn users_without_a_number_have_separate_cookies() {
    let both_are_in = Arc::new(Barrier::new(2));
    let loadtest = Arc::new(
        Loadtest::new(move |context: Context, mut response: golo::Response| {
            let both_are_in = Arc::clone(&both_are_in);
            async move {
                log_in(&context.job_name).await;
                both_are_in.wait().await;
                response.tags = golo::tagify([("account", account().await.unwrap_or_default())]);
                response
            }
        })
        .sink(Collected::default()),
    );
    let (one, two) = patiently(async {
        tokio::join!(
            loadtest.trigger(Context { job_name: "one".to_owned(), ..Context::default() }),
            loadtest.trigger(Context { job_name: "two".to_owned(), ..Context::default() }),
        )
    })
    .await;
    assert_eq!((one.tags[0].value.as_str(), two.tags[0].value.as_str()), ("one", "two"));
}

#[tokio::test]
async fn measured_steps_are_recorded() {
    let (results, outputs) = triggered(async {
        let started = Instant::now();
        let fine = golo::measure("journey", "query", async { Ok::<_, std::io::Error>(7) }).await.unwrap();
        let error =
            golo::measure("journey", "query", async { Err::<(), _>(std::io::Error::other("no such table")) }).await;
        let began = Notify::new();
        let endless = golo::measure("journey", "wait", async {
            began.notify_one();
            std::future::pending::<Result<(), String>>().await
        });
        tokio::select! {
            _ = endless => panic!("it never ends"),
            () = began.notified() => {}
        }
        drop(golo::measure("journey", "never polled", async { Ok::<_, String>(()) }));
        (fine, error.unwrap_err().to_string(), started.elapsed())
    })
    .await;
    assert_eq!((results.0, results.1.as_str()), (7, "no such table"));
    let of: Vec<_> =
        outputs.iter().map(|output| (output.url.as_str(), output.error.as_deref(), output.is_failed())).collect();
    assert_eq!(of, [("query", None, false), ("query", Some("no such table"), true), ("wait", Some("cancelled"), true)]);
    for output in &outputs {
        assert_eq!(output.route.as_deref(), Some(output.url.as_str()));
        assert_eq!((output.sequence_id.as_str(), output.method.as_str()), ("journey", "MEASURE"));
        assert_eq!((output.status, output.size, output.expected), (0, 0, None));
        assert!(output.duration <= results.2);
    }
}

/// A sink that stores checks.
#[derive(Clone, Default)]
struct Checks(Arc<Mutex<Vec<(String, bool)>>>);

impl Sink for Checks {
    fn output(&self, _: &OutputRef<'_>) {}

    fn check(&self, name: &str, passed: bool) {
        self.0.lock().unwrap().push((name.to_owned(), passed));
    }
}

#[tokio::test]
async fn failed_checks_are_counted_without_failing_the_trigger() {
    let checks = Checks::default();
    let loadtest = Loadtest::new(|_, _| async {
        assert!(golo::check("front page", true));
        golo::spawn(async { assert!(!golo::check("front page", false)) }).await.unwrap();
        golo::check("cart", false);
    })
    .sink(checks.clone());
    let response = loadtest.trigger(Context::default()).await;
    assert!(!response.error);
    let counted = checks.0.lock().unwrap().clone();
    assert_eq!(counted, [("front page", true), ("front page", false), ("cart", false)].map(|(n, p)| (n.to_owned(), p)));
    // Outside a run, `check` only returns its argument.
    assert!(golo::check("outside", true) && !golo::check("outside", false));
}

const PAUSE: Duration = Duration::from_secs(2);

/// Returns the duration of a trigger in its `Response`, and by the clock.
async fn durations<F>(load_test: impl Fn() -> F + Send + Sync + 'static) -> (Duration, Duration)
where
    F: Future<Output = ()> + Send + 'static,
{
    let loadtest = Loadtest::new(move |_, _| load_test()).sink(Collected::default());
    let started = Instant::now();
    let response = patiently(loadtest.trigger(Context::default())).await;
    assert!(!response.error, "{}", response.output);
    (Duration::from_nanos(response.duration), started.elapsed())
}

#[tokio::test]
async fn think_time_is_not_measured() {
    let (measured, elapsed) = durations(async || {
        golo::think(PAUSE / 2).await;
        golo::spawn(golo::think(PAUSE / 2)).await.unwrap();
    })
    .await;
    assert!(elapsed >= PAUSE);
    assert!(measured <= elapsed - PAUSE, "{measured:?} of {elapsed:?}");
}

#[tokio::test]
async fn overlapping_think_time_is_subtracted_once() {
    let (measured, elapsed) = durations(async || {
        tokio::join!(golo::think(PAUSE), golo::think(PAUSE), golo::think(PAUSE));
        // Stands for work, such as a request.
        tokio::time::sleep(PAUSE / 2).await;
    })
    .await;
    assert!(PAUSE / 2 <= measured && measured <= elapsed - PAUSE, "{measured:?} of {elapsed:?}");
}

#[tokio::test]
async fn cancelled_think_time_is_not_measured() {
    let (measured, elapsed) = durations(async || {
        assert!(tokio::time::timeout(PAUSE, golo::think(PAUSE * 100)).await.is_err());
    })
    .await;
    assert!(elapsed >= PAUSE);
    assert!(measured < PAUSE, "{measured:?} of {elapsed:?}");
}

#[tokio::test]
async fn step_that_overlaps_with_think_time_is_measured() {
    const WORK: Duration = Duration::from_millis(300);
    let collected = Collected::default();
    let loadtest = Loadtest::new(|_, _| async {
        let work = golo::measure("journey", "work", async {
            tokio::time::sleep(WORK).await;
            Ok::<_, String>(())
        });
        let (_, worked) = tokio::join!(golo::think(WORK), work);
        worked.unwrap();
        golo::think(PAUSE).await;
    })
    .sink(collected.clone());
    let started = Instant::now();
    let response = patiently(loadtest.trigger(Context::default())).await;
    let (duration, elapsed) = (Duration::from_nanos(response.duration), started.elapsed());
    let measured = collected.outputs()[0].duration;
    assert!(measured >= WORK);
    assert!(measured <= duration && duration <= elapsed - PAUSE, "{measured:?} of {duration:?} of {elapsed:?}");
}

/// A sink that panics at outputs with an error.
struct Picky;

impl Sink for Picky {
    fn output(&self, output: &OutputRef<'_>) {
        assert_eq!(output.error, None);
    }
}

#[tokio::test]
async fn panic_of_a_sink_within_a_panic_does_not_abort() {
    let loadtest = Loadtest::new(|context: Context, _| async move {
        let endless = golo::measure("journey", "endless", std::future::pending::<Result<(), String>>());
        tokio::join!(endless, async { panic!("{} is lost", context.job_name) }).0
    })
    .sink(Picky);
    for name in ["one", "another"] {
        let context = Context { job_name: name.to_owned(), ..Context::default() };
        let response = patiently(loadtest.trigger(context)).await;
        assert_eq!((response.error, response.output), (true, format!("panicked: {name} is lost")));
    }
}

#[tokio::test(start_paused = true)]
async fn think_times_repeat_for_the_same_user_and_iteration() {
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&pauses);
    let loadtest = Loadtest::new(move |_, _| {
        let taken = Arc::clone(&taken);
        async move {
            for _ in 0..5 {
                let started = tokio::time::Instant::now();
                golo::think(Duration::from_secs(1)..Duration::from_secs(3)).await;
                taken.lock().unwrap().push(started.elapsed());
            }
        }
    })
    .sink(Collected::default());
    let pauses_of = async |user, iteration| {
        loadtest.trigger(Context { user, iteration, ..Context::default() }).await;
        std::mem::take(&mut *pauses.lock().unwrap())
    };
    let first = pauses_of(Some(1), Some(1)).await;
    assert_eq!(first.len(), 5);
    // The timer rounds up to the next millisecond.
    assert!(first.iter().all(|pause| (1000..=3001).contains(&pause.as_millis())), "{first:?}");
    assert!(first.iter().any(|pause| *pause != first[0]), "{first:?}");
    assert_eq!(pauses_of(Some(1), Some(1)).await, first);
    for (user, iteration) in [(Some(1), Some(2)), (Some(2), Some(1)), (None, None), (Some(1), None)] {
        assert_ne!(pauses_of(user, iteration).await, first, "{user:?} {iteration:?}");
    }
    assert_ne!(pauses_of(None, None).await, pauses_of(None, None).await);
}

#[tokio::test(start_paused = true)]
async fn think_accepts_durations_and_ranges() {
    let taken = async |think: Pin<Box<dyn Future<Output = ()>>>| {
        let started = tokio::time::Instant::now();
        think.await;
        started.elapsed()
    };
    let second = Duration::from_secs(1);
    assert_eq!(taken(Box::pin(golo::think(second))).await, second);
    assert_eq!(taken(Box::pin(golo::think(second..second))).await, second);
    assert_eq!(taken(Box::pin(golo::think(second..=second))).await, second);
    assert_eq!(taken(Box::pin(golo::think(second * 2..second))).await, second * 2, "an empty range is its start");
    assert_eq!(taken(Box::pin(golo::think(Duration::ZERO))).await, Duration::ZERO);
}

/// A sink that is full after each output until it is released.
#[derive(Clone, Default)]
struct Full(Arc<FullInner>);

#[derive(Default)]
struct FullInner {
    is_full: AtomicBool,
    asked: Notify,
    room: Notify,
    taken: Mutex<Vec<(Instant, Duration)>>,
}

impl Sink for Full {
    fn output(&self, output: &OutputRef<'_>) {
        self.0.taken.lock().unwrap().push((Instant::now(), output.duration));
        self.0.is_full.store(true, SeqCst);
    }

    fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        self.0.is_full.load(SeqCst).then(|| {
            self.0.asked.notify_one();
            Box::pin(async {
                self.0.room.notified().await;
                self.0.is_full.store(false, SeqCst);
            }) as _
        })
    }
}

#[tokio::test]
async fn full_sink_blocks_the_load_test_after_a_measurement() {
    let sink = Full::default();
    let full = sink.clone();
    let started = Instant::now();
    let running = tokio::spawn(async move {
        let loadtest = Loadtest::new(|_, _| async {
            golo::do_request("journey", golo::client().get(service().url())).await.unwrap();
            golo::measure("journey", "step", async { Ok::<_, String>(()) }).await.unwrap();
        })
        .sink(full);
        let response = loadtest.trigger(Context::default()).await;
        assert!(!response.error, "{}", response.output);
    });
    patiently(async {
        for recorded in 1..=2 {
            sink.0.asked.notified().await;
            assert_eq!(sink.0.taken.lock().unwrap().len(), recorded);
            // Enough time for a load test that does not wait to continue.
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(sink.0.taken.lock().unwrap().len(), recorded, "it waits");
            assert!(!running.is_finished());
            sink.0.room.notify_one();
        }
        running.await.unwrap();
    })
    .await;
    let taken = sink.0.taken.lock().unwrap().clone();
    assert!(taken[0].1 <= taken[0].0 - started);
    assert!(taken[1].1 <= taken[1].0 - taken[0].0 - Duration::from_millis(300), "the wait is not measured");
}

#[tokio::test]
async fn full_sink_delays_the_start_of_a_trigger() {
    let sink = Full::default();
    sink.0.is_full.store(true, SeqCst);
    let full = sink.clone();
    let has_started = Arc::new(AtomicBool::new(false));
    let start = Arc::clone(&has_started);
    let running = tokio::spawn(async move {
        let loadtest = Loadtest::new(move |_, _| {
            start.store(true, SeqCst);
            async {}
        })
        .sink(full);
        loadtest.trigger(Context::default()).await
    });
    patiently(async {
        sink.0.asked.notified().await;
        assert!(!has_started.load(SeqCst));
        sink.0.room.notify_one();
        running.await.unwrap();
    })
    .await;
    assert!(has_started.load(SeqCst));
}
