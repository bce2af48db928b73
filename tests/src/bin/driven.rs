//! A load test that runs whole plans. Its users sign in, its hooks print to stderr when they are called, and its job
//! name selects what a trigger does.

use golo::{BoxError, Context, Shared};
use golo_tests::Speechless;
use tokio::runtime::{Builder, Handle};

/// State made by `setup`: the URL of the target.
struct Target(String);

impl Target {
    fn page(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

async fn set_up() -> Result<Target, BoxError> {
    eprintln!("set up");
    if golo::param("SETUP").as_deref() == Some("hangs") {
        std::future::pending::<()>().await;
    }
    let target = Target(golo::param("TARGET_URL").unwrap_or_default());
    get("setup", target.page("items")).await?;
    Ok(target)
}

async fn tear_down(target: Shared<Target>) -> Result<(), BoxError> {
    eprintln!("torn down");
    Ok(get("teardown", target.page("items")).await?)
}

/// A signed-in user: its name.
struct Guest(String);

impl golo::User for Guest {
    async fn start(context: &Context) -> Result<Self, BoxError> {
        let user = context.user.unwrap_or_default();
        match golo::param("START").as_deref() {
            Some("fails") => return Err("no table is free".into()),
            Some("fails without words") => return Err(Speechless.into()),
            Some("hangs or fails for odd ones") if user % 2 == 1 => {
                eprintln!("a guest turns round");
                return Err("no table is free".into());
            }
            Some("fails for odd ones") if user % 2 == 1 => return Err("no table is free".into()),
            Some("hangs" | "hangs or fails for odd ones") => {
                eprintln!("a guest waits");
                std::future::pending().await
            }
            _ => {}
        }
        let target = Shared::<Target>::current().ok_or("nothing is shared")?;
        let name = format!("guest-{user}");
        let credentials = serde_json::json!({ "user": name, "password": "secret" });
        golo::do_request("login", golo::client().post(target.page("login")).json(&credentials)).await?;
        golo_tests::tell(format_args!("{name} comes"));
        Ok(Self(name))
    }

    async fn stop(self) {
        golo_tests::tell(format_args!("{} leaves", self.0));
        if golo::param("STOP").as_deref() == Some("hangs") {
            std::future::pending().await
        }
    }
}

#[golo::loadtest(setup = set_up, teardown = tear_down)]
async fn driven(guest: &mut Guest, context: Context, target: Shared<Target>) -> Result<(), BoxError> {
    match &*context.job_name {
        "account" => {
            let account = golo::do_request("account", golo::client().get(target.page("account"))).await?;
            let account: serde_json::Value = account.json().await?;
            if account["user"] != guest.0 {
                return Err(format!("{} is told of {account}", guest.0).into());
            }
        }
        "spawn" => tokio::spawn(get("tokio", target.page("items/1"))).await??,
        "spawn ours" => golo::spawn(get("golo", target.page("account"))).await??,
        "spawn blocking" => {
            let get = get("blocking", target.page("items/2"));
            tokio::task::spawn_blocking(|| Handle::current().block_on(get)).await??;
        }
        "spawn a thread" => {
            let get = get("thread", target.page("items/3"));
            let thread = std::thread::spawn(|| {
                Ok::<_, BoxError>(Builder::new_current_thread().enable_all().build()?.block_on(get)?)
            });
            // Joining here would block the other triggers of this thread.
            let joined = tokio::task::spawn_blocking(|| thread.join()).await?;
            joined.map_err(|_| "the thread panicked")??;
        }
        "spawn and leave" => drop(tokio::spawn(get("left", target.page("slow?ms=60000")))),
        "panic if odd" if context.user.unwrap_or_default() % 2 == 1 => panic!("{} is lost", guest.0),
        _ => get("visit", target.page("items")).await?,
    }
    Ok(())
}

async fn get(journey: &'static str, url: String) -> Result<(), golo::RequestError> {
    golo::do_request(journey, golo::client().get(url)).await.map(drop)
}
