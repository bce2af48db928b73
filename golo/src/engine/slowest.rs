//! The slowest journeys of a run, with all their steps.

use std::{sync::Arc, time::Duration};

use super::series::Label;
pub use crate::metrics::journey::{Journey, Step, Traced};
pub use crate::metrics::trace::{SpanId, TraceContext, TraceId};

/// Number of journeys kept.
pub const KEPT: usize = 10;

/// The slowest journeys, slowest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slowest(Vec<Journey<Arc<Label>>>);

impl Slowest {
    /// Returns true if a journey of this duration would be kept. Check this before creating a journey for
    /// [`Self::add`].
    #[must_use]
    pub fn wants(&self, duration: Duration) -> bool {
        self.0.len() < KEPT || self.0.last().is_some_and(|fastest| fastest.duration() < duration)
    }

    /// Adds a journey if it is slow enough.
    pub fn add(&mut self, journey: Journey<Arc<Label>>) {
        let duration = journey.duration();
        let place = self.0.partition_point(|known| known.duration() >= duration);
        if place < KEPT {
            self.0.truncate(KEPT - 1);
            self.0.insert(place, journey);
        }
    }

    /// Adds the journeys of another worker or period.
    pub fn merge(&mut self, other: &Self) {
        for journey in &other.0 {
            if !self.wants(journey.duration()) {
                break;
            }
            self.add(journey.clone());
        }
    }

    /// Returns the journeys, slowest first.
    pub fn iter(&self) -> impl Iterator<Item = &Journey<Arc<Label>>> {
        self.0.iter()
    }
}
