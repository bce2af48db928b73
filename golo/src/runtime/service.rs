//! Services of a load test: `golo.Job`, whole plans, health, and reflection if the feature is on.

use std::{convert::Infallible, str::FromStr, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::{Status, body::Body, codegen::Service as _, server::NamedService as _};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use super::plans::Plans;
use crate::loadtest::erased::BoxFuture;
use crate::pb::engine::engine_server::EngineServer;
use crate::pb::{Job, JobServer, LaterJobServer};
use crate::{Context, Loadtest};

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// Names of the services in health checks.
pub(super) const SERVICE: &str = JobServer::<Triggers>::NAME;
pub(super) const ENGINE: &str = EngineServer::<Plans>::NAME;

/// Field layout of a `Response` on the wire.
///
/// golo's own clients read both layouts. A later revision of go-lo moved fields of `Response`. Clients generated from
/// that revision need [`Later`](Self::Later). `serve --wire later` and `GOLO_WIRE=later` set it without a code change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireLayout {
    /// Layout of `golo.proto` and of go-lo's documentation: `output` 4, `tags` 5.
    #[default]
    Documented,
    /// Layout of go-lo's last revision, `golo-later.proto`: `duration` 4, `output` 5, `tags` 6.
    Later,
}

impl FromStr for WireLayout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "documented" => Ok(Self::Documented),
            "later" => Ok(Self::Later),
            _ => Err("expected `documented` or `later`".to_owned()),
        }
    }
}

/// The service `golo.Job` of a load test.
pub(super) struct Triggers {
    loadtest: Arc<Loadtest>,
    in_flight: InFlight,
}

/// Triggers in flight: their number, and whether they are to stop or be cut off.
#[derive(Clone, Default)]
pub(super) struct InFlight {
    count: watch::Sender<usize>,
    stop: watch::Sender<bool>,
    cut: watch::Sender<bool>,
}

impl InFlight {
    /// Counts one more trigger until the returned guard is dropped.
    pub(super) fn enter(&self) -> impl Drop + use<> {
        struct Entered(watch::Sender<usize>);
        impl Drop for Entered {
            fn drop(&mut self) {
                self.0.send_modify(|count| *count -= 1);
            }
        }
        self.count.send_modify(|count| *count += 1);
        Entered(self.count.clone())
    }

    /// Waits until no trigger has been in flight for `time`. A trigger may still arrive before its client learns of the
    /// stop.
    pub(super) async fn none_for(&self, time: Duration) {
        let mut count = self.count.subscribe();
        loop {
            // Fails only if there is no sender, and `self` is one.
            let _ = count.wait_for(|count| *count == 0).await;
            if tokio::time::timeout(time, count.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }

    /// Drops the futures of all running triggers, and of any that would still start.
    pub(super) fn cut_off(&self) {
        self.cut.send_replace(true);
    }

    pub(super) async fn are_cut_off(&self) {
        let _ = self.cut.subscribe().wait_for(|cut| *cut).await;
    }

    /// Stops whole plans. Triggers in flight may finish.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) async fn are_stopped(&self) {
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }
}

#[tonic::async_trait]
impl Job for Triggers {
    async fn trigger(&self, request: tonic::Request<Context>) -> Result<tonic::Response<crate::Response>, Status> {
        let _entered = self.in_flight.enter();
        tokio::select! {
            biased;
            () = self.in_flight.are_cut_off() => Err(Status::unavailable("the load test was stopped")),
            response = self.loadtest.trigger(request.into_inner()) => Ok(tonic::Response::new(response)),
        }
    }
}

impl Loadtest {
    /// Returns the tonic service of this load test, for a server of your own. `setup` runs with the first trigger, and
    /// `teardown` does not run.
    ///
    /// ```
    /// # async fn example() -> Result<(), tonic::Status> {
    /// let service = golo::Loadtest::new(|_, _| async {}).into_service();
    /// // Without a network: the client calls the service itself.
    /// let response = golo::pb::JobClient::new(service).trigger(golo::Context::default()).await?;
    /// assert!(!response.get_ref().error);
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    pub fn into_service(self) -> JobServer<impl Job> {
        JobServer::new(Triggers { loadtest: Arc::new(self), in_flight: InFlight::default() })
    }
}

/// All services of a load test, by path. Each connection has its own clone, which is cheap.
pub(super) struct Services<H> {
    job: JobService,
    engine: EngineServer<Plans>,
    health: HealthServer<H>,
    #[cfg(feature = "reflection")]
    reflection: reflection::Reflection,
}

/// `golo.Job` in one of its layouts.
#[derive(Clone)]
enum JobService {
    Documented(JobServer<Triggers>),
    Later(LaterJobServer<Triggers>),
}

impl JobService {
    fn new(triggers: Triggers, wire: WireLayout) -> Self {
        match wire {
            WireLayout::Documented => Self::Documented(JobServer::new(triggers)),
            WireLayout::Later => Self::Later(LaterJobServer::new(triggers)),
        }
    }

    fn call(&self, request: Request<Incoming>) -> Answer {
        match self {
            Self::Documented(job) => job.clone().call(request),
            Self::Later(job) => job.clone().call(request),
        }
    }
}

impl<H> Clone for Services<H> {
    fn clone(&self) -> Self {
        Self {
            job: self.job.clone(),
            engine: self.engine.clone(),
            health: self.health.clone(),
            #[cfg(feature = "reflection")]
            reflection: self.reflection.clone(),
        }
    }
}

/// Creates the services of `loadtest`, healthy from the start, and the reporter of their health.
pub(super) async fn services(
    loadtest: Arc<Loadtest>,
    in_flight: InFlight,
    wire: WireLayout,
) -> (HealthReporter, Services<impl Health>) {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status(SERVICE, ServingStatus::Serving).await;
    reporter.set_service_status(ENGINE, ServingStatus::Serving).await;
    let services = Services {
        engine: EngineServer::new(Plans::new(Arc::clone(&loadtest), in_flight.clone())),
        job: JobService::new(Triggers { loadtest, in_flight }, wire),
        health,
        #[cfg(feature = "reflection")]
        reflection: reflection::reflection(wire),
    };
    (reporter, services)
}

impl<H: Health> hyper::service::Service<Request<Incoming>> for Services<H> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let service = request.uri().path().rsplit_once('/').map_or("", |(service, _method)| service);
        match service.strip_prefix('/') {
            Some(SERVICE) => self.job.call(request),
            Some(ENGINE) => self.engine.clone().call(request),
            Some(HealthServer::<H>::NAME) => self.health.clone().call(request),
            #[cfg(feature = "reflection")]
            Some(reflection::NAME) => (self.reflection)(request),
            _ => Box::pin(async { Ok(Status::unimplemented("no such service").into_http()) }),
        }
    }
}

#[cfg(feature = "reflection")]
mod reflection {
    //! `grpc.reflection.v1`, so that `grpcurl` and similar tools need no .proto file.

    use super::*;
    use tonic_reflection::server::Builder;
    use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

    pub(super) const NAME: &str = "grpc.reflection.v1.ServerReflection";

    pub(super) type Reflection = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

    pub(super) fn reflection(wire: WireLayout) -> Reflection {
        let job = match wire {
            WireLayout::Documented => crate::pb::FILE_DESCRIPTOR_SET,
            WireLayout::Later => crate::pb::LATER_FILE_DESCRIPTOR_SET,
        };
        let built = Builder::configure()
            .register_encoded_file_descriptor_set(job)
            .register_encoded_file_descriptor_set(crate::pb::engine::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1();
        #[expect(clippy::expect_used, reason = "all sets are constants, and a test reads them")]
        callable(built.expect("the descriptors of golo and of health are valid"))
    }

    fn callable(server: ServerReflectionServer<impl ServerReflection>) -> Reflection {
        Arc::new(move |request| server.clone().call(request))
    }
}
