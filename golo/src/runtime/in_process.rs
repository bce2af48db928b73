//! The load test of this process as a trigger of the engine.

use std::sync::Arc;

use crate::engine::errors::ErrorKind;
use crate::engine::mix::Mix;
use crate::engine::plan::Plan;
use crate::engine::recorder::{RecorderSink, Uncounted};
use crate::engine::trigger::{Failure, Outcome, Trigger};
use crate::engine::{Engine, Options, Sinks};
use crate::error::{chain, reason};
use crate::loadtest::erased::UserState;
use crate::loadtest::users;
use crate::metrics::scope::{Scope, SharedValue};
use crate::metrics::visitor::Visitor;
use crate::transport::client;
use crate::{Context, Error, Loadtest, Sink};

/// A load test that has been set up.
pub(super) struct InProcess {
    loadtest: Arc<Loadtest>,
    shared: SharedValue,
    seed: u64,
    measured: Arc<dyn Sink>,
    /// Sink of triggers of the warm-up.
    warm_up: Arc<dyn Sink>,
    /// Sink of users that start and stop.
    aside: Arc<dyn Sink>,
}

/// A user's state, cookies and connections.
pub(super) struct User {
    state: UserState,
    visitor: Arc<Visitor>,
}

impl InProcess {
    /// Starts an engine in this process that drives a load test.
    pub(super) fn start(
        loadtest: &Arc<Loadtest>,
        shared: SharedValue,
        plan: Plan,
        options: Options,
        sinks: Sinks,
    ) -> Result<Engine, Error> {
        let measured: Arc<RecorderSink> = Arc::clone(&sinks.measured);
        let (loadtest, seed) = (Arc::clone(loadtest), options.seed);
        let warm_up = Arc::new(Uncounted::warm_up(Arc::clone(&measured)));
        let aside = Arc::new(Uncounted::users(Arc::clone(&measured)));
        let trigger = Self { loadtest, shared, seed, measured, warm_up, aside };
        Engine::start(Arc::new(trigger), plan, options, sinks)
            .map_err(|error| Error::start("the workers could not be started", Some(error.into())))
    }
}

impl Trigger for InProcess {
    type User = User;

    fn has_users(&self) -> bool {
        self.loadtest.erased_adapter().has_users()
    }

    fn prepare(&self) -> Result<(), String> {
        client::current().map(drop).map_err(|error| chain(&error))
    }

    async fn start(&self, context: &Context, mix: &Mix) -> Result<User, String> {
        let visitor = Arc::new(Visitor::of_user(context.user));
        let adapter = self.loadtest.erased_adapter();
        let scope = users::aside(&visitor, &self.shared, Arc::clone(&self.aside));
        let mut state = users::start(adapter, context, scope).await?;
        for scenario in mix.scenarios().iter().map(|scenario| &*scenario.name) {
            let shared = adapter.shared_of(&self.shared, Some(scenario));
            let scope = users::aside(&visitor, &shared, Arc::clone(&self.aside));
            if let Err(reason) = users::complete(adapter, scenario, context, &mut state, scope).await {
                // States of other scenarios may have started.
                let scope = users::aside(&visitor, &self.shared, Arc::clone(&self.aside));
                users::stop(adapter, state, scope).await;
                return Err(reason);
            }
        }
        Ok(User { state, visitor })
    }

    async fn trigger(&self, context: Context, user: &mut User, is_measured: bool) -> Outcome {
        let sink = if is_measured { &self.measured } else { &self.warm_up };
        let visitor = client::visitor_of_trigger(&user.visitor);
        let shared = self.loadtest.erased_adapter().shared_of(&self.shared, context.scenario.as_deref());
        let scope = Scope::new(Arc::clone(sink), visitor, Some(shared));
        let scope = Arc::new(scope.of_trigger(&context, self.seed).with_journeys());
        let mut tags = Vec::new();
        let failure = match self.loadtest.call(&scope, context, &mut user.state).await {
            Ok(Ok(response)) => {
                tags = response.tags;
                // The load test set `error` in its response.
                response.error.then(|| returned(&scope, response.output))
            }
            Ok(Err(error)) => Some(returned(&scope, reason(error))),
            Err(text) => Some(Failure::new(ErrorKind::Panic, with_hint(text))),
        };
        let (thought, requesting) = scope.times();
        Outcome { failure, thought, requesting: Some(requesting), journeys: scope.take_journeys(), tags }
    }

    async fn stop(&self, user: User) {
        let scope = users::aside(&user.visitor, &self.shared, Arc::clone(&self.aside));
        users::stop(self.loadtest.erased_adapter(), user.state, scope).await;
    }
}

/// Creates the failure of an error that the load test returned. Often it is the error of a request.
fn returned(scope: &Scope, text: String) -> Failure {
    let is_recorded = scope.has_recorded(&text);
    Failure { is_recorded, ..Failure::new(ErrorKind::Returned, text) }
}

/// Adds advice for load tests to a panic of tokio.
fn with_hint(panicked: String) -> String {
    if panicked.contains("can call blocking only when running on the multi-threaded runtime") {
        return format!("{panicked}; a worker is one thread: use `tokio::task::spawn_blocking`");
    }
    panicked
}
