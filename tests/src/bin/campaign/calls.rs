//! Calls of agents and of the collector.

use std::time::Duration;

use anyhow::Context as _;
use golo::reqwest::{Client, Method};
use serde_json::Value;

/// Longest time that a call may take.
const CALL: Duration = Duration::from_secs(5);

/// A client of agents and of the collector, which does not pass the gates.
#[derive(Debug, Clone)]
pub(crate) struct Calls(Client);

impl Calls {
    pub(crate) fn new() -> anyhow::Result<Self> {
        // A new connection for each call: none is left from before a restart.
        let client = Client::builder().no_proxy().timeout(CALL).pool_max_idle_per_host(0).build();
        Ok(Self(client.context("there is no HTTP client")?))
    }

    /// Returns the JSON at a URL.
    pub(crate) async fn get(&self, url: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, url).await
    }

    /// Asks an agent to stop a job.
    pub(crate) async fn delete(&self, url: &str) -> anyhow::Result<Value> {
        self.call(Method::DELETE, url).await
    }

    async fn call(&self, method: Method, url: &str) -> anyhow::Result<Value> {
        let response = self.0.request(method, url).send().await?.error_for_status()?;
        Ok(serde_json::from_str(&response.text().await?)?)
    }
}
