//! One interface for every kind of load test: an annotated function, a function passed to `Loadtest::new`, a `Runner`.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::loadtest::adapter::{Adapter, IntoResponse, Trigger};
use crate::loadtest::scenario::Scenario;
use crate::metrics::scope::SharedValue;
use crate::{BoxError, Context, Response, Runner, User};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Like `Box::pin`, but creates the future in its final place: the future of a load test is large and is created for
/// each trigger.
fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}

/// State of a [`User`], with its type erased.
pub(crate) type UserState = Box<dyn Any + Send>;

pub(crate) trait Erased: Send + Sync + 'static {
    /// Returns the type of the users' state, or `None` if they have none to start and stop.
    fn state_type(&self) -> Option<TypeId>;
    /// Returns true if users have state to start and stop.
    fn has_users(&self) -> bool {
        self.state_type().is_some()
    }
    fn start<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<UserState, BoxError>>;
    /// Runs the load test once. Runs no code of the load test before it is polled.
    fn trigger<'a>(&'a self, trigger: Trigger, user: &'a mut UserState) -> BoxFuture<'a, Result<Response, BoxError>>;
    fn stop(&self, user: UserState) -> BoxFuture<'static, ()>;

    /// Starts the state that a user needs for this scenario, unless it has it already.
    fn complete<'a>(
        &'a self,
        _scenario: &'a str,
        _context: &'a Context,
        _user: &'a mut UserState,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async { Ok(()) })
    }
    /// Returns the scenarios. Empty for a load test of one function.
    fn scenarios(&self) -> &[Scenario] {
        &[]
    }
    /// Returns the scenario of a trigger whose context names `named`, or one by the weights if it names none.
    fn choose(&self, named: Option<&str>) -> Result<Option<String>, BoxError> {
        Ok(named.map(str::to_owned))
    }
    /// Returns the value of `setup` that triggers of a scenario share.
    fn shared_of(&self, shared: &SharedValue, _scenario: Option<&str>) -> SharedValue {
        Arc::clone(shared)
    }
}

/// An annotated function.
pub(crate) struct Annotated<A>(pub(crate) PhantomData<A>);

impl<A: Adapter> Erased for Annotated<A> {
    fn state_type(&self) -> Option<TypeId> {
        Some(TypeId::of::<A::User>()).filter(|state| *state != TypeId::of::<()>())
    }

    fn start<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<UserState, BoxError>> {
        Box::pin(async { Ok(Box::new(A::User::start(context).await?) as UserState) })
    }

    fn trigger<'a>(&'a self, trigger: Trigger, user: &'a mut UserState) -> BoxFuture<'a, Result<Response, BoxError>> {
        #[expect(clippy::expect_used, reason = "`start` above makes every state that is passed here")]
        let user = user.downcast_mut().expect("a user's state is of its load test's type");
        boxed(|| A::trigger(trigger, user))
    }

    fn stop(&self, user: UserState) -> BoxFuture<'static, ()> {
        match user.downcast::<A::User>() {
            Ok(user) => Box::pin(user.stop()),
            Err(_) => Box::pin(async {}),
        }
    }
}

/// A load test without user state.
pub(crate) struct Stateless<F>(pub(crate) F);

impl<F> Stateless<F> {
    fn state() -> UserState {
        Box::new(())
    }
}

/// Calls a [`Stateless`] load test.
pub(crate) trait Call: Send + Sync + 'static {
    fn call<'a>(&'a self, trigger: Trigger) -> BoxFuture<'a, Result<Response, BoxError>>;
}

impl<C: Call> Erased for Stateless<C> {
    fn state_type(&self) -> Option<TypeId> {
        None
    }

    fn start<'a>(&'a self, _: &'a Context) -> BoxFuture<'a, Result<UserState, BoxError>> {
        Box::pin(async { Ok(Self::state()) })
    }

    fn trigger<'a>(&'a self, trigger: Trigger, _: &'a mut UserState) -> BoxFuture<'a, Result<Response, BoxError>> {
        self.0.call(trigger)
    }

    fn stop(&self, _: UserState) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// The function passed to `Loadtest::new`, as in the later go-lo.
pub(crate) struct Function<F>(pub(crate) F);

impl<F, R> Call for Function<F>
where
    F: Fn(Context, Response) -> R + Send + Sync + 'static,
    R: Future<Output: IntoResponse> + Send + 'static,
{
    fn call<'a>(&'a self, trigger: Trigger) -> BoxFuture<'a, Result<Response, BoxError>> {
        boxed(|| async {
            let context = trigger.context.clone();
            let prepared = trigger.into_prepared();
            (self.0)(context, prepared.clone()).await.into_response(prepared)
        })
    }
}

/// The struct passed to `Loadtest::runner`, as in the older go-lo.
pub(crate) struct Run<R>(pub(crate) R);

impl<R: Runner> Call for Run<R> {
    fn call<'a>(&'a self, trigger: Trigger) -> BoxFuture<'a, Result<Response, BoxError>> {
        boxed(|| async {
            self.0.run().await;
            Ok(trigger.into_prepared())
        })
    }
}
