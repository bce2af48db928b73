//! `Shared`: the value that `setup` returned, for all triggers.

use std::{fmt, ops::Deref, sync::Arc};

use crate::metrics::scope::SharedValue;

/// The value that `setup` returned, shared by all triggers of the run. Cloning is cheap; all clones share one value.
///
/// ```no_run
/// struct Catalogue(Vec<String>);
///
/// async fn prepare() -> std::io::Result<Catalogue> {
///     Ok(Catalogue(std::fs::read_to_string("urls.txt")?.lines().map(str::to_owned).collect()))
/// }
///
/// #[golo::loadtest(setup = prepare)]
/// async fn browse(catalogue: golo::Shared<Catalogue>) -> Result<(), golo::RequestError> {
///     let journey = golo::new_sequence_id();
///     for url in &catalogue.0 {
///         golo::do_request(&journey, golo::client().get(url)).await?;
///     }
///     Ok(())
/// }
/// ```
pub struct Shared<T>(Arc<T>);

impl<T: Send + Sync + 'static> Shared<T> {
    /// Wraps a value, for example to call a load test from a unit test.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    pub(crate) fn from_any(value: SharedValue) -> Option<Self> {
        value.downcast().ok().map(Self)
    }

    pub(crate) fn into_any(self) -> SharedValue {
        self.0
    }

    /// Returns the value of `setup` from any code of the load test, for example a user's [`start`](crate::User::start).
    ///
    /// Returns `None` outside of a run, if there is no `setup`, or if `setup` returned another type.
    #[must_use]
    pub fn current() -> Option<Self> {
        crate::metrics::scope::current()?.shared.clone().and_then(Self::from_any)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&*self.0).finish()
    }
}
