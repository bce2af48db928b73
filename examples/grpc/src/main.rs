//! gRPC: a tonic client whose calls are measured by `golo::grpc_layer`. It calls the standard health service, which most
//! gRPC servers have; a client that is generated from a `.proto` file is wrapped in the same way.
//!
//! ```text
//! cargo run -p grpc -- once
//! ```
//!
//! Without `TARGET_URL`, such as `http://127.0.0.1:50051`, it starts a server with that service and loads it.

mod server;

use std::sync::LazyLock;

use golo::{BoxError, Context};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

static TARGET: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(server::spawn));

/// A user with a connection of its own, as a separate client has.
struct Caller {
    channel: Channel,
}

impl golo::User for Caller {
    async fn start(_: &Context) -> Result<Self, BoxError> {
        Ok(Self { channel: Endpoint::from_shared(TARGET.clone())?.connect().await? })
    }
}

#[golo::loadtest]
async fn grpc(caller: &mut Caller) -> Result<(), BoxError> {
    let journey = golo::new_sequence_id();
    // Cheap: the layer is put around the user's channel in each trigger, with the trigger's journey.
    let layer = golo::grpc_layer(&journey).origin(&TARGET);
    let mut health = HealthClient::new(layer.wrap(caller.channel.clone()));

    // The empty name is the whole server. The route of this call is `/grpc.health.v1.Health/Check`.
    let answer = health.check(HealthCheckRequest { service: String::new() }).await?.into_inner();
    golo::check("the server is serving", answer.status() == ServingStatus::Serving);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use golo::{Loadtest, OutputRef, Sink, User as _};

    use super::*;

    /// Keeps route, status, bytes and error of each call as a text.
    #[derive(Clone, Default)]
    struct Calls(Arc<Mutex<Vec<String>>>);

    impl Sink for Calls {
        fn output(&self, output: &OutputRef<'_>) {
            let (route, error) = (output.route.as_deref().unwrap_or("none"), output.error.as_deref().unwrap_or("ok"));
            let OutputRef { status, sent, size, .. } = output;
            self.0.lock().unwrap().push(format!("{route} {status}, {sent} and {size} bytes: {error}"));
        }
    }

    #[tokio::test]
    async fn calls_are_measured_with_their_status() {
        let calls = Calls::default();
        let load_test = Loadtest::new(|context, _| async move {
            let mut caller = Caller::start(&context).await?;
            grpc(&mut caller).await?;
            let mut health = HealthClient::new(golo::grpc_layer("journey").wrap(caller.channel));
            health.check(HealthCheckRequest { service: "unknown".to_owned() }).await?;
            Ok::<(), BoxError>(())
        });
        let response = load_test.sink(calls.clone()).trigger(Context::default()).await;
        assert!(response.error && response.output.contains("service not registered"), "{}", response.output);
        let expected = [
            "/grpc.health.v1.Health/Check 200, 5 and 7 bytes: ok",
            "/grpc.health.v1.Health/Check 200, 14 and 0 bytes: content: grpc status 5 not found: service not registered",
        ];
        assert_eq!(*calls.0.lock().unwrap(), expected);
    }
}
