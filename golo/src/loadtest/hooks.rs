//! `setup` and `teardown` of a load test, or of one of its scenarios.

use std::sync::Arc;

use crate::loadtest::adapter::{IntoOutcome, IntoShared, Setup, Teardown};
use crate::loadtest::erased::BoxFuture;
use crate::metrics::scope::SharedValue;
use crate::{BoxError, Shared};

type SetUp = dyn Fn() -> BoxFuture<'static, Result<SharedValue, BoxError>> + Send + Sync;
type TearDown = dyn Fn(SharedValue) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync;

/// The functions that run before the first trigger and after the last one.
#[derive(Default)]
pub(crate) struct Hooks {
    setup: Option<Box<SetUp>>,
    teardown: Option<Box<TearDown>>,
}

impl Hooks {
    pub(crate) fn set_setup<T>(&mut self, f: impl Setup<Returned: Future<Output: IntoShared<T>> + Send + 'static>)
    where
        T: Send + Sync + 'static,
    {
        self.setup = Some(Box::new(move || {
            let running = f.setup();
            Box::pin(async { Ok(Shared::new(running.await.into_shared()?).into_any()) })
        }));
    }

    pub(crate) fn set_teardown<T, M>(&mut self, f: impl Teardown<T, M, Future: Future<Output: IntoOutcome> + Send>)
    where
        T: Send + Sync + 'static,
    {
        let f = Arc::new(f);
        self.teardown = Some(Box::new(move |shared| {
            let f = Arc::clone(&f);
            Box::pin(async move {
                let shared = Shared::from_any(shared).ok_or("`teardown` takes another type than `setup` returned")?;
                f.teardown(shared).await.into_outcome()
            })
        }));
    }

    pub(crate) fn has_setup(&self) -> bool {
        self.setup.is_some()
    }

    pub(crate) fn has_teardown(&self) -> bool {
        self.teardown.is_some()
    }

    /// Runs `setup`. Without one, the value is `()`.
    pub(crate) async fn set_up(&self) -> Result<SharedValue, BoxError> {
        match &self.setup {
            Some(setup) => setup().await,
            None => Ok(Shared::new(()).into_any()),
        }
    }

    /// Runs `teardown` with the value that `setup` returned.
    pub(crate) async fn tear_down(&self, shared: SharedValue) -> Result<(), BoxError> {
        match &self.teardown {
            Some(teardown) => teardown(shared).await,
            None => Ok(()),
        }
    }
}
