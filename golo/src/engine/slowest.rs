//! The slowest journeys of a run, kept whole.

use std::{sync::Arc, time::Duration};

use super::series::Label;
pub use crate::metrics::journey::{Journey, Step};

/// How many are kept.
pub const KEPT: usize = 10;

/// The slowest journeys, the slowest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slowest(Vec<Journey<Arc<Label>>>);

impl Slowest {
    /// Whether a journey that took so long is one of them: to be asked before one is made for [`Self::add`].
    #[must_use]
    pub fn wants(&self, duration: Duration) -> bool {
        self.0.len() < KEPT || self.0.last().is_some_and(|fastest| fastest.duration() < duration)
    }

    /// Adds a journey, if it is slow enough.
    pub fn add(&mut self, journey: Journey<Arc<Label>>) {
        let duration = journey.duration();
        let place = self.0.partition_point(|known| known.duration() >= duration);
        if place < KEPT {
            self.0.truncate(KEPT - 1);
            self.0.insert(place, journey);
        }
    }

    /// Adds those of another worker or time.
    pub fn merge(&mut self, other: &Self) {
        for journey in &other.0 {
            if !self.wants(journey.duration()) {
                break;
            }
            self.add(journey.clone());
        }
    }

    /// Them, the slowest first.
    pub fn iter(&self) -> impl Iterator<Item = &Journey<Arc<Label>>> {
        self.0.iter()
    }
}
