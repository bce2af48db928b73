//! The order of jobs: one runs, up to [`ROOM`] wait, and further ones are refused. Uses neither clock nor disk.

use std::collections::VecDeque;

/// Maximum number of waiting jobs.
pub const ROOM: usize = 32;

/// Job IDs, in the order in which the jobs were queued.
#[derive(Debug, Default)]
pub struct Queue {
    running: Option<String>,
    waiting: VecDeque<String>,
}

/// Error of a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Queue {
    /// Returns true if another job can be added. If no job is running, the first of the queue does not count as
    /// waiting.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.len() < ROOM + usize::from(self.running.is_none())
    }

    /// Adds a job at the end of the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue is full.
    pub fn add(&mut self, id: &str) -> Result<(), Full> {
        if !self.has_room() {
            return Err(Full);
        }
        self.restore(id);
        Ok(())
    }

    /// Adds a job that was queued before a restart, even if the queue is full.
    pub fn restore(&mut self, id: &str) {
        self.waiting.push_back(id.to_owned());
    }

    /// Starts the next job and returns its ID, or `None` if a job is running or none waits.
    pub fn start(&mut self) -> Option<String> {
        if self.running.is_none() {
            self.running = self.waiting.pop_front();
            return self.running.clone();
        }
        None
    }

    /// Marks the running job as ended.
    pub fn end(&mut self) {
        self.running = None;
    }

    /// Removes a waiting job. Returns false if it was not waiting.
    pub fn remove(&mut self, id: &str) -> bool {
        let place = self.waiting.iter().position(|waiting| waiting == id);
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// Returns the ID of the running job.
    #[must_use]
    pub fn running(&self) -> Option<&str> {
        self.running.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Add,
        Start,
        End,
        Remove(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Add),
            1 => Just(Step::Start),
            1 => Just(Step::End),
            1 => (0..60usize).prop_map(Step::Remove),
        ]
    }

    #[test]
    fn one_runs_and_32_wait() {
        let mut queue = Queue::default();
        let added = (0..40).filter(|number| queue.add(&number.to_string()).is_ok()).count();
        assert_eq!(added, 33, "the first does not wait");
        assert_eq!(queue.start().as_deref(), Some("0"));
        assert_eq!((queue.start(), queue.add("x"), queue.running()), (None, Err(Full), Some("0")));
        assert!(queue.remove("7") && !queue.remove("7") && !queue.remove("0"));
        assert_eq!(queue.add("x"), Ok(()));
    }

    proptest! {
        #[test]
        fn jobs_start_in_order_and_one_at_a_time(steps in proptest::collection::vec(step(), 0..300)) {
            let mut queue = Queue::default();
            let (mut expected, mut running, mut next) = (VecDeque::new(), None, 0u32);
            for step in steps {
                match step {
                    Step::Add => {
                        let id = next.to_string();
                        next += 1;
                        let is_in = queue.add(&id).is_ok();
                        prop_assert_eq!(is_in, expected.len() < ROOM + usize::from(running.is_none()));
                        if is_in {
                            expected.push_back(id);
                        }
                    }
                    Step::Start => {
                        let started = queue.start();
                        if running.is_some() {
                            prop_assert_eq!(started, None);
                        } else {
                            running = expected.pop_front();
                            prop_assert_eq!(&started, &running);
                        }
                    }
                    Step::End => {
                        queue.end();
                        running = None;
                    }
                    Step::Remove(number) => {
                        let id = number.to_string();
                        let place = expected.iter().position(|waiting| *waiting == id);
                        prop_assert_eq!(queue.remove(&id), place.is_some());
                        place.and_then(|place| expected.remove(place));
                    }
                }
                prop_assert_eq!(queue.running(), running.as_deref());
            }
        }
    }
}
