//! Access logs of servers.

use std::collections::BTreeMap;

use serde_json::Value;

/// One answered request in an access log.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Identifies the connection: a serial number, or the client's port.
    pub(crate) connection: String,
    pub(crate) status: u16,
    /// HTTP version, such as `HTTP/1.1`.
    pub(crate) version: String,
    /// Further fields, which only some logs have.
    pub(crate) more: String,
}

impl Entry {
    /// Parses `CONNECTION STATUS VERSION`, the format in which most servers here are told to write.
    pub(crate) fn plain(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, ' ').map(str::to_owned);
        let (connection, status, version) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self { connection, status: status.parse().ok()?, version, more: fields.next().unwrap_or_default() })
    }

    /// Parses a line of Caddy.
    pub(crate) fn caddy(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let request = &line["request"];
        Some(Self {
            connection: request["remote_port"].as_str()?.to_owned(),
            status: line["status"].as_u64()?.try_into().ok()?,
            version: request["proto"].as_str()?.to_owned(),
            more: String::new(),
        })
    }

    /// Parses a line of uvicorn: `INFO:     127.0.0.1:40000 - "GET / HTTP/1.1" 200 OK`.
    pub(crate) fn uvicorn(line: &str) -> Option<Self> {
        let (client, rest) = line.strip_prefix("INFO:")?.trim_start().split_once(" - \"")?;
        let (request, status) = rest.split_once("\" ")?;
        Some(Self {
            connection: client.to_owned(),
            status: status.split(' ').next()?.parse().ok()?,
            version: request.rsplit(' ').next()?.to_owned(),
            more: String::new(),
        })
    }
}

/// Everything that a server logged.
#[derive(Debug)]
pub(crate) struct Log(pub(crate) Vec<Entry>);

impl Log {
    pub(crate) fn requests(&self) -> u64 {
        self.0.len() as u64
    }

    /// Returns the number of requests for each status.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, u64> {
        self.count(|entry| entry.status)
    }

    /// Returns the number of requests for each HTTP version.
    pub(crate) fn versions(&self) -> BTreeMap<&str, u64> {
        self.count(|entry| &*entry.version)
    }

    /// Returns the number of requests for each connection.
    pub(crate) fn connections(&self) -> BTreeMap<&str, u64> {
        self.count(|entry| &*entry.connection)
    }

    /// Returns the number of requests for each value of `key`.
    pub(crate) fn count<'a, K: Ord>(&'a self, key: impl Fn(&'a Entry) -> K) -> BTreeMap<K, u64> {
        let mut counts = BTreeMap::new();
        for entry in &self.0 {
            *counts.entry(key(entry)).or_default() += 1;
        }
        counts
    }
}
