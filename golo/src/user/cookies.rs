//! Cookies: a separate jar for each user of a shared client. Without the feature `cookies` there are none.

#[cfg(feature = "cookies")]
pub(crate) use kept::with_jars;

#[cfg(feature = "cookies")]
mod kept {
    use std::sync::Arc;

    use reqwest::cookie::CookieStore;
    use reqwest::header::HeaderValue;
    use reqwest::{ClientBuilder, Url};

    use crate::metrics::{scope, visitor::Visitor};

    /// Makes the client use the cookies of the current user, or those of `outside` outside of a run.
    pub(crate) fn with_jars(builder: ClientBuilder, outside: &Arc<Visitor>) -> ClientBuilder {
        builder.cookie_provider(Arc::new(CurrentJar { outside: Arc::clone(outside) }))
    }

    /// Cookie store of a reqwest client.
    struct CurrentJar {
        outside: Arc<Visitor>,
    }

    impl CurrentJar {
        fn with<T>(&self, use_it: impl FnOnce(&Visitor) -> T) -> T {
            let scope = scope::current();
            use_it(scope.as_ref().map_or(&self.outside, |scope| &scope.visitor))
        }
    }

    impl CookieStore for CurrentJar {
        fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
            self.with(|visitor| visitor.set_cookies().set_cookies(headers, url));
        }

        fn cookies(&self, url: &Url) -> Option<HeaderValue> {
            self.with(|visitor| visitor.cookies()?.cookies(url))
        }
    }
}

#[cfg(not(feature = "cookies"))]
pub(crate) fn with_jars(
    builder: reqwest::ClientBuilder,
    _: &std::sync::Arc<crate::metrics::visitor::Visitor>,
) -> reqwest::ClientBuilder {
    builder
}
