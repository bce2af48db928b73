//! A visitor: one client as the target sees it, with its cookies and connections.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[cfg(feature = "cookies")]
pub(crate) use reqwest::cookie::Jar;

/// Placeholder for the cookie jar if the feature `cookies` is off.
#[cfg(not(feature = "cookies"))]
#[derive(Debug, Default)]
pub(crate) struct Jar;

/// What a client keeps from request to request. A user is one visitor, or each of its triggers is.
#[derive(Default)]
pub(crate) struct Visitor {
    jar: Jar,
    has_cookies: AtomicBool,
    /// Number of the user.
    user: Option<u64>,
    /// The transport's connections, made with the first request.
    connections: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Visitor {
    /// Creates the visitor that a user is.
    pub(crate) fn of_user(user: Option<u64>) -> Self {
        Self { user, ..Self::default() }
    }

    /// Creates another visitor of the same user, without its cookies and connections.
    pub(crate) fn anew(&self) -> Self {
        Self::of_user(self.user)
    }

    /// Returns the number of the user.
    pub(crate) fn user(&self) -> Option<u64> {
        self.user
    }

    /// Returns the cookies if a response may have set any.
    #[cfg_attr(not(feature = "cookies"), expect(dead_code, reason = "only used with the feature"))]
    pub(crate) fn cookies(&self) -> Option<&Jar> {
        self.has_cookies.load(Relaxed).then_some(&self.jar)
    }

    /// Returns the jar, for cookies that are about to be set.
    #[cfg_attr(not(feature = "cookies"), expect(dead_code, reason = "only used with the feature"))]
    pub(crate) fn set_cookies(&self) -> &Jar {
        self.has_cookies.store(true, Relaxed);
        &self.jar
    }

    /// Returns the connections. `make` creates them for the first request.
    ///
    /// # Panics
    ///
    /// Panics if the connections were made with another type, which the transport never does.
    pub(crate) fn connections<C: Any + Send + Sync>(&self, make: impl FnOnce() -> C) -> &C {
        #[expect(clippy::expect_used, reason = "documented: the transport has one type of connections")]
        self.connections.get_or_init(|| Box::new(make())).downcast_ref().expect("connections of one type")
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").field("user", &self.user).finish_non_exhaustive()
    }
}
