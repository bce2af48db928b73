//! Cookies: a separate jar for each user of a shared client. Without the feature `cookies` there are none.

#[cfg(feature = "cookies")]
pub(crate) use kept::with_jars;

#[cfg(feature = "cookies")]
mod kept {
    use std::sync::Arc;

    use reqwest::cookie::{CookieStore, Jar};
    use reqwest::header::HeaderValue;
    use reqwest::{ClientBuilder, Url};

    use crate::metrics::scope;

    /// Makes the client use the cookies of the current user.
    pub(crate) fn with_jars(builder: ClientBuilder) -> ClientBuilder {
        builder.cookie_provider(Arc::new(CurrentJar::default()))
    }

    /// Cookie store of golo's client: the jar of the current user, or a jar of its own outside of a run.
    #[derive(Default)]
    struct CurrentJar {
        outside: Jar,
    }

    impl CurrentJar {
        fn with<T>(&self, use_jar: impl FnOnce(&Jar) -> T) -> T {
            let scope = scope::current();
            use_jar(scope.as_ref().map_or(&self.outside, |scope| &scope.jar))
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
}

#[cfg(not(feature = "cookies"))]
pub(crate) fn with_jars(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder
}
