//! The agents that are connected to a NATS server: each has an entry in a bucket, which expires unless the agent renews it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::kv::{Config, CreateErrorKind, Operation, Store, UpdateErrorKind, Watch};
use bytes::Bytes;
use golo::cli::chain;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

use super::connection::Nats;
use crate::support::failure::Failure;

/// Name of the bucket.
const BUCKET: &str = "golo-agents";
/// Time after which an entry expires that is not renewed.
pub const EXPIRY: Duration = Duration::from_secs(10);
/// Interval between renewals of an entry.
pub const RENEWAL: Duration = Duration::from_secs(3);
/// Most entries that are read at once.
const READ: usize = 64;
/// Longest time for an answer of the server.
const ANSWER: Duration = Duration::from_secs(10);

/// The entry of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Name of the agent, which no other agent of the server has.
    pub name: String,
    /// ID of its data folder, which tells agents of the same name apart.
    pub id: String,
    /// Its version of golo.
    pub version: String,
    /// Operating system and processor, such as `linux-amd64`.
    pub platform: String,
    /// Labels that its user has given.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Resources of its machine.
    pub capacity: Capacity,
    /// Number of jobs that are running or waiting.
    #[serde(default)]
    pub jobs: u64,
    /// Name of the job that is running, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
}

impl Registration {
    /// Names of what is known of each agent, which labels may not have.
    pub const FIELDS: [&str; 7] = ["name", "version", "platform", "cores", "memory", "descriptors", "ports"];
}

/// Resources of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Processors that the agent may use.
    pub cores: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// File descriptors that a process may have open.
    pub descriptors: u64,
    /// Ports for connections to one target.
    pub ports: u64,
}

/// Result of an attempt to register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The entry is this agent's.
    Yes,
    /// Another agent has this name.
    Taken,
}

/// A change of the registered agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An agent has registered, or its entry has changed.
    Came(Box<Registration>),
    /// The agent of this name has left, or its entry has expired.
    Left(String),
}

/// The registered agents.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Store,
}

impl Registry {
    /// Opens the bucket, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, or does not answer.
    pub async fn open(nats: &Nats) -> Result<Self, Failure> {
        let config = Config {
            bucket: BUCKET.to_owned(),
            description: "Agents of golo".to_owned(),
            history: 1,
            max_age: EXPIRY,
            // Watchers hear of entries that have expired.
            limit_markers: Some(EXPIRY),
            ..Config::default()
        };
        let opened = answered("the registrations", nats.jetstream.create_key_value(config)).await?;
        Ok(Self { store: opened })
    }

    /// Adds or renews the entry of an agent. `revision` is that of its last entry, and becomes that of the new one.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, or does not answer.
    pub async fn register(&self, agent: &Registration, revision: &mut Option<u64>) -> Result<Registered, Failure> {
        let key = key(&agent.name);
        let value = Bytes::from(serde_json::to_vec(agent).map_err(|error| Failure::from(error.to_string()))?);
        if let Some(last) = *revision {
            match within(self.store.update(&key, value.clone(), last)).await? {
                Ok(new) => {
                    *revision = Some(new);
                    return Ok(Registered::Yes);
                }
                // It has expired, or is another agent's by now.
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => *revision = None,
                Err(error) => return Err(refused(&error)),
            }
        }
        match within(self.store.create(&key, value.clone())).await? {
            Ok(new) => {
                *revision = Some(new);
                return Ok(Registered::Yes);
            }
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(refused(&error)),
        }
        // The entry of the same data folder is from before a restart of the agent.
        let entry = within(self.store.entry(key.clone())).await?.map_err(|error| refused(&error))?;
        let Some(entry) = entry.filter(|entry| parsed(&entry.value).is_some_and(|other| other.id == agent.id)) else {
            return Ok(Registered::Taken);
        };
        match within(self.store.update(&key, value, entry.revision)).await? {
            Ok(new) => {
                *revision = Some(new);
                Ok(Registered::Yes)
            }
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(Registered::Taken),
            Err(error) => Err(refused(&error)),
        }
    }

    /// Removes the entry of an agent, if it is that of `revision`.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, or does not answer.
    pub async fn remove(&self, name: &str, revision: u64) -> Result<(), Failure> {
        within(self.store.delete_expect_revision(key(name), Some(revision))).await?.map_err(|error| refused(&error))
    }

    /// Returns the registered agents, by name.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, or does not answer.
    pub async fn list(&self) -> Result<Vec<Registration>, Failure> {
        let mut keys = within(self.store.keys()).await?.map_err(|error| refused(&error))?;
        let mut reading = JoinSet::new();
        let mut values = Vec::new();
        while let Some(key) = within(keys.next()).await? {
            let key = key.map_err(|error| refused(&error))?;
            if reading.len() >= READ {
                values.extend(reading.join_next().await);
            }
            let store = self.store.clone();
            reading.spawn(async move { within(store.get(key)).await?.map_err(|error| refused(&error)) });
        }
        while let Some(value) = reading.join_next().await {
            values.push(value);
        }
        let mut agents = BTreeMap::new();
        for value in values {
            let value = value.map_err(|error| Failure::from(error.to_string()))??;
            // It may have expired since, or be of another version.
            if let Some(agent) = value.and_then(|value| parsed(&value)) {
                agents.insert(agent.name.clone(), agent);
            }
        }
        Ok(agents.into_values().collect())
    }

    /// Returns the entries that there are, and then all changes.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, or does not answer.
    pub async fn watch(&self) -> Result<Changes, Failure> {
        let watch = within(self.store.watch_with_history(">")).await?.map_err(|error| refused(&error))?;
        Ok(Changes(watch))
    }
}

/// Changes of the registered agents, in order.
pub struct Changes(Watch);

impl Changes {
    /// Waits for the next change. Returns `None` if there will be none.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            // An error is that of one message. The watch continues after a lost connection.
            let Ok(entry) = self.0.next().await? else { continue };
            match entry.operation {
                Operation::Put => {
                    if let Some(agent) = parsed(&entry.value) {
                        return Some(Change::Came(Box::new(agent)));
                    }
                }
                Operation::Delete | Operation::Purge => return Some(Change::Left(name(&entry.key))),
            }
        }
    }
}

/// Returns the part of subjects and keys that stands for an agent: a dot in its name would separate tokens.
#[must_use]
pub fn key(name: &str) -> String {
    name.replace('=', "=3D").replace('.', "=2E")
}

/// Returns the name of an agent.
fn name(key: &str) -> String {
    key.replace("=2E", ".").replace("=3D", "=")
}

fn parsed(value: &[u8]) -> Option<Registration> {
    serde_json::from_slice(value).ok()
}

/// Waits for an answer of the server, for a limited time.
async fn within<T>(asked: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(ANSWER, asked).await.map_err(|_| Failure::from("the NATS server does not answer"))
}

async fn answered<T, E: std::error::Error + 'static>(
    what: &str,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    within(asked).await?.map_err(|error| Failure::from(format!("the NATS server refuses {what}: {}", chain(&error))))
}

fn refused(error: &(dyn std::error::Error + 'static)) -> Failure {
    format!("the NATS server refuses the registrations: {}", chain(error)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_becomes_one_token_and_back() {
        for text in ["load1", "load1.example", "a.b-c_d", "..", "=2E", "a=b"] {
            let token = key(text);
            assert!(!token.contains('.') && !token.contains(['*', '>', ' ']), "{token}");
            assert_eq!(name(&token), text);
        }
    }
}
