//! A chat over a WebSocket: connect, receive the greeting, send a message and wait for its answer, close. Each is a step
//! of its own in the report.
//!
//! ```text
//! cargo run -p websocket -- once
//! ```
//!
//! Without `TARGET_URL`, such as `ws://127.0.0.1:9001/rooms/7`, it starts a server that answers each message with the
//! same message, and loads that.

mod server;

use std::sync::LazyLock;

use golo::BoxError;

static TARGET: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(server::spawn));

#[golo::loadtest]
async fn websocket() -> Result<(), BoxError> {
    let journey = golo::new_sequence_id();
    let room = golo::client().get(&*TARGET).header("x-api-key", "of this load test");
    let mut room = golo::websocket::connect(&journey, room).route("/rooms/{id}").await?;

    let greeting = room.receive().await?;
    golo::check("the room greets", greeting.to_text()?.starts_with("welcome to "));

    for number in 1..=3 {
        let message = format!("message {number}");
        let answer = room.request(&*message).await?;
        golo::check("the answer is the message", answer.to_text()? == message);
    }
    room.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use golo::{Context, Loadtest, OutputRef, Sink};

    use super::*;

    /// Keeps name, size and error of each step as a text.
    #[derive(Clone, Default)]
    struct Steps(Arc<Mutex<Vec<String>>>);

    impl Sink for Steps {
        fn output(&self, output: &OutputRef<'_>) {
            let error = output.error.as_deref().unwrap_or("ok");
            self.0.lock().unwrap().push(format!("{} {}: {error}", output.url, output.size));
        }
    }

    #[tokio::test]
    async fn each_step_is_measured() {
        let steps = Steps::default();
        let response = Loadtest::new(|_, _| websocket()).sink(steps.clone()).trigger(Context::default()).await;
        assert!(!response.error, "{}", response.output);
        let expected = ["connect 0", "receive 18", "request 9", "request 9", "request 9", "close 0"];
        assert_eq!(*steps.0.lock().unwrap(), expected.map(|step| format!("WS /rooms/{{id}} {step}: ok")));
    }
}
