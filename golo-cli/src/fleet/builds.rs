//! The builds of a load test: one for all agents, or one for each platform.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::{Map, Value};

use super::part::Part;
use super::patience::patiently;
use super::upload::{Needed, upload};
use super::{Fleet, describe_failures, each};
use crate::agent::uploads::Content;
use crate::http::client::CallError;
use crate::support::failure::Failure;

/// A load test as it was built for one platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Build {
    /// Path of the program.
    pub path: PathBuf,
    /// Text of its signature, if it has one.
    pub signature: Option<String>,
}

/// All builds of a load test.
#[derive(Debug, Clone)]
pub struct Builds {
    /// Name of the load test.
    pub name: String,
    /// Build for the platforms without one of their own, if there is one.
    pub default: Option<Build>,
    /// Builds by platform, such as `linux-arm64`.
    pub of_platform: BTreeMap<String, Build>,
}

impl Builds {
    /// Returns the build for a platform.
    #[must_use]
    pub fn of(&self, platform: &str) -> Option<&Build> {
        self.of_platform.get(platform).or(self.default.as_ref())
    }
}

impl Fleet {
    /// Brings each part the build for its platform. Returns the keys of the parts' jobs that describe it.
    pub(super) async fn bring(&self, builds: &Builds) -> Result<Vec<Map<String, Value>>, Failure> {
        let name = &builds.name;
        let builds = self.each_build(builds).await?;
        let mut users: BTreeMap<&Build, Vec<usize>> = BTreeMap::new();
        for (index, build) in builds.iter().enumerate() {
            users.entry(build).or_default().push(index);
        }
        let mut keys = vec![Map::new(); self.parts.len()];
        for (build, indexes) in users {
            let parts: Vec<_> = indexes.iter().map(|index| Arc::clone(&self.parts[*index])).collect();
            let (name, path) = (name.clone(), build.path.clone());
            let needed = Needed { content: Content::LoadTests, name, path };
            let hash = upload(&parts, &needed, self.settings.is_quiet).await?;
            for index in indexes {
                keys[index].insert("binary".to_owned(), hash.clone().into());
                keys[index].extend(build.signature.clone().map(|text| ("signature".to_owned(), text.into())));
            }
        }
        Ok(keys)
    }

    /// Returns the build for each part.
    async fn each_build(&self, all: &Builds) -> Result<Vec<Build>, Failure> {
        if let (true, Some(build)) = (all.of_platform.is_empty(), &all.default) {
            return Ok(vec![build.clone(); self.parts.len()]);
        }
        let platforms = each(&self.parts, |part| async move { platform(&part).await }).await?;
        let mut builds = Vec::new();
        let mut without = Vec::new();
        for (part, platform) in self.parts.iter().zip(&platforms) {
            match all.of(platform) {
                Some(build) => builds.push(build.clone()),
                None => without.push((&*part.name, format!("there is no `--binary {platform}=PATH` for it"))),
            }
        }
        if without.is_empty() { Ok(builds) } else { Err(describe_failures(&without).into()) }
    }
}

/// Returns the platform of a part.
async fn platform(part: &Part) -> Result<String, CallError> {
    if let Some(platform) = &part.platform {
        return Ok(platform.clone());
    }
    match patiently(&part.standstill, || part.agent.platform()).await {
        Err(CallError::Refused(status @ (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED), _)) => {
            let reason = "it was built with an older golo, which does not say its platform: give one load test for all";
            Err(CallError::Refused(status, reason.to_owned()))
        }
        platform => platform,
    }
}
