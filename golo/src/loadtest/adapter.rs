//! Interface between the expansion of `#[golo::loadtest]` and a run: the traits that the expansion implements and
//! calls.
//!
//! Every trait has diagnostics, so that a load test of an unsupported shape gets a clear compile error at the type in
//! its source.

mod hooks;

pub use hooks::{IntoOutcome, IntoShared, Portable, Setup, Teardown};

use crate::{BoxError, Context, Response, ResponseTag, Shared, metrics::scope::SharedValue};

/// Input of one trigger. The expansion of `#[golo::loadtest]` takes the load test's parameters from it.
pub struct Trigger {
    pub(crate) context: Context,
    pub(crate) shared: Option<SharedValue>,
}

impl Trigger {
    /// Returns the `Response` prepared for this trigger: the job name is set, everything else is empty.
    #[must_use]
    pub fn into_prepared(self) -> Response {
        prepared(self.context.job_name)
    }
}

fn prepared(job_name: String) -> Response {
    Response { job_name, ..Response::default() }
}

/// A load test. The expansion of `#[golo::loadtest]` implements this for a private type.
pub trait Adapter: Send + Sync + 'static {
    /// User state that the load test takes as `&mut S`, or `()`.
    type User: crate::User;

    /// Runs the load test once.
    fn trigger(trigger: Trigger, user: &mut Self::User) -> impl Future<Output = Result<Response, BoxError>> + Send;
}

/// A parameter of a load test, other than `&mut S`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a load test",
    label = "not a parameter of a load test",
    note = "a parameter is `golo::Context`, `golo::Response`, `golo::Shared<T>`, or `&mut S` where `S: golo::User`"
)]
pub trait FromTrigger: Sized {
    /// Takes the parameter from the trigger's input.
    fn from_trigger(trigger: &Trigger) -> Self;
}

impl FromTrigger for Context {
    fn from_trigger(trigger: &Trigger) -> Self {
        trigger.context.clone()
    }
}

impl FromTrigger for Response {
    fn from_trigger(trigger: &Trigger) -> Self {
        prepared(trigger.context.job_name.clone())
    }
}

impl<T: Send + Sync + 'static> FromTrigger for Shared<T> {
    /// # Panics
    ///
    /// Panics if the run shares no `T`. The macro makes the compiler check the type that `setup` returns against a
    /// `Shared<T>` that it can see. It cannot see through a type alias, so a mismatch behind an alias is only found
    /// here.
    fn from_trigger(trigger: &Trigger) -> Self {
        let shared = trigger.shared.clone().and_then(Self::from_any);
        let wanted = std::any::type_name::<T>();
        shared.unwrap_or_else(|| panic!("`setup` returned no `{wanted}`, which the load test takes as `golo::Shared`"))
    }
}

/// A value that a load test may return: `()`, a [`Response`], tags, or a `Result` of one of these.
///
/// ```
/// fn fits<R: golo::IntoResponse>() {}
///
/// fits::<()>();
/// fits::<golo::Response>();
/// fits::<Vec<golo::ResponseTag>>();
/// fits::<[golo::ResponseTag; 2]>();
/// fits::<Result<(), String>>();
/// fits::<Result<Vec<golo::ResponseTag>, std::io::Error>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "a load test cannot return `{Self}`",
    label = "not a type that a load test can return",
    note = "a load test returns `()`, `golo::Response`, tags (`Vec<golo::ResponseTag>` or an array), or a `Result` of one of these"
)]
pub trait IntoResponse {
    /// Returns the trigger's `Response`. Parts that the load test did not return are taken from `prepared`.
    ///
    /// # Errors
    ///
    /// Returns the load test's own error, which is the reason why the trigger failed.
    fn into_response(self, prepared: Response) -> Result<Response, BoxError>;
}

impl IntoResponse for () {
    fn into_response(self, prepared: Response) -> Result<Response, BoxError> {
        Ok(prepared)
    }
}

impl IntoResponse for Response {
    fn into_response(self, _: Response) -> Result<Response, BoxError> {
        Ok(self)
    }
}

impl IntoResponse for Vec<ResponseTag> {
    fn into_response(self, prepared: Response) -> Result<Response, BoxError> {
        Ok(Response { tags: self, ..prepared })
    }
}

impl<const N: usize> IntoResponse for [ResponseTag; N] {
    fn into_response(self, prepared: Response) -> Result<Response, BoxError> {
        Vec::from(self).into_response(prepared)
    }
}

impl<T: IntoResponse, E: IntoError> IntoResponse for Result<T, E> {
    fn into_response(self, prepared: Response) -> Result<Response, BoxError> {
        self.map_err(IntoError::into_error)?.into_response(prepared)
    }
}

/// Error of a load test or a hook: `Into<BoxError>` as a trait of its own, for better compile errors.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a load test",
    label = "does not convert into `Box<dyn Error + Send + Sync>`",
    note = "an error is a type that implements `Error + Send + Sync`, or `anyhow::Error`, `Box<dyn Error + Send + Sync>`, `String` or `&str`"
)]
pub trait IntoError {
    /// Boxes the error.
    fn into_error(self) -> BoxError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError>> IntoError for E {
    fn into_error(self) -> BoxError {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger() -> Trigger {
        let context = Context { job_name: "checkout".to_owned(), ..Context::default() };
        Trigger { context, shared: Some(Shared::new(7_u32).into_any()) }
    }

    fn respond(returned: impl IntoResponse) -> Result<Response, String> {
        returned.into_response(trigger().into_prepared()).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_are_taken_from_the_trigger() {
        let trigger = trigger();
        assert_eq!(Context::from_trigger(&trigger), trigger.context);
        assert_eq!(Response::from_trigger(&trigger), prepared("checkout".to_owned()));
        assert_eq!(*Shared::<u32>::from_trigger(&trigger), 7);
    }

    #[test]
    #[should_panic(expected = "`setup` returned no `i64`, which the load test takes as `golo::Shared`")]
    fn panic_names_the_missing_shared_type() {
        let _ = Shared::<i64>::from_trigger(&trigger());
    }

    #[test]
    fn returned_values_complete_the_prepared_response() {
        let tag = ResponseTag { key: "status".to_owned(), value: "200".to_owned() };
        let prepared = trigger().into_prepared();
        let tagged = Response { tags: vec![tag.clone()], ..prepared.clone() };
        assert_eq!(respond(()), Ok(prepared));
        assert_eq!(respond([tag.clone()]), Ok(tagged.clone()));
        assert_eq!(respond(Ok::<_, String>(vec![tag])), Ok(tagged));
        assert_eq!(respond(Response::default()), Ok(Response::default()));
        assert_eq!(respond(Err::<(), _>("out of stock")), Err("out of stock".to_owned()));
    }
}
