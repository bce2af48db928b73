//! `setup` and `teardown` of a load test, or of one of its scenarios.

use std::sync::Arc;

use serde_json::Value;

use crate::loadtest::adapter::{IntoOutcome, IntoShared, Portable, Setup, Teardown};
use crate::loadtest::erased::BoxFuture;
use crate::metrics::scope::SharedValue;
use crate::{BoxError, Shared};

type SetUp = dyn Fn() -> BoxFuture<'static, Result<SharedValue, BoxError>> + Send + Sync;
type TearDown = dyn Fn(SharedValue) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync;

// serde's messages may quote the value, which may be a secret.

fn write<T: Portable>(shared: &SharedValue) -> Result<Value, BoxError> {
    let value = shared.downcast_ref::<T>().ok_or("its value has another type")?;
    serde_json::to_value(value).map_err(|_| {
        "its value cannot be written as JSON, for example because a map has keys that are neither strings nor numbers".into()
    })
}

fn read<T: Portable>(value: &Value) -> Result<SharedValue, BoxError> {
    let value = T::deserialize(value).map_err(|_| {
        let wanted = std::any::type_name::<T>();
        format!("its value, as JSON, cannot be read as a `{wanted}`: what its `Serialize` writes, its `Deserialize` must read")
    })?;
    Ok(Shared::new(value).into_any())
}

/// The functions that run before the first trigger and after the last one.
#[derive(Default)]
pub(crate) struct Hooks {
    setup: Option<Box<SetUp>>,
    teardown: Option<Box<TearDown>>,
    /// Set if `setup` runs once a run.
    json: Option<Json>,
}

/// Conversion of the value of a `setup` that runs once a run.
#[derive(Clone, Copy)]
struct Json {
    write: fn(&SharedValue) -> Result<Value, BoxError>,
    read: fn(&Value) -> Result<SharedValue, BoxError>,
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

    /// As [`set_setup`](Self::set_setup), for a `setup` that runs once a run.
    pub(crate) fn set_setup_of_run<T: Portable>(
        &mut self,
        f: impl Setup<Returned: Future<Output: IntoShared<T>> + Send + 'static>,
    ) {
        self.set_setup(f);
        self.json = Some(Json { write: write::<T>, read: read::<T> });
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

    /// Returns true if `setup` runs once a run, and `teardown` with it.
    pub(crate) fn are_of_run(&self) -> bool {
        self.json.is_some()
    }

    /// Writes the value of a `setup` that runs once a run. Returns `None` for any other.
    pub(crate) fn write(&self, shared: &SharedValue) -> Option<Result<Value, BoxError>> {
        self.json.map(|json| (json.write)(shared))
    }

    /// Reads a value that another member of the run has written. Returns `None` if `setup` does not run once a run.
    pub(crate) fn read(&self, value: Option<&Value>) -> Option<Result<SharedValue, BoxError>> {
        let json = self.json?;
        Some(value.ok_or_else(|| "its value is missing".into()).and_then(json.read))
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
