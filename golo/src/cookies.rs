//! Cookies: a jar for each user over one shared client.

use reqwest::{
    Url,
    cookie::{CookieStore, Jar},
    header::HeaderValue,
};

use crate::scope;

/// What golo's client asks for cookies: the jar of the user whose code is running, or one of the client's own outside
/// any run.
#[derive(Default)]
pub(crate) struct CurrentJar {
    outside: Jar,
}

impl CurrentJar {
    fn with<T>(&self, use_jar: impl FnOnce(&Jar) -> T) -> T {
        match scope::current() {
            Some(scope) => use_jar(&scope.jar),
            None => use_jar(&self.outside),
        }
    }
}

impl CookieStore for CurrentJar {
    fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        self.with(|jar| jar.set_cookies(headers, url));
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        self.with(|jar| jar.cookies(url))
    }
}
