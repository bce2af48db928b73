//! Heads and bodies of a request, for the sample of one that failed.

use std::fmt;

use http::{HeaderMap, Version};
use reqwest::Url;

/// What is known of a request and its response when it is recorded. Nothing of it is copied unless the request failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence<'a> {
    /// URL of the last hop.
    pub(crate) url: &'a Url,
    /// Headers of the request, if golo's transport sent it.
    pub(crate) headers: Option<&'a HeaderMap>,
    /// Body of the request, if it is in memory.
    pub(crate) body: Option<&'a [u8]>,
    /// Response, if a complete one arrived.
    pub(crate) response: Option<ResponseEvidence<'a>>,
}

/// A complete response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseEvidence<'a> {
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    /// Body as the load test sees it.
    pub(crate) body: &'a [u8],
}

impl fmt::Debug for Evidence<'_> {
    /// Leaves out headers and bodies, since they contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("has_response", &self.response.is_some()).finish_non_exhaustive()
    }
}
