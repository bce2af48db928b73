//! Sequence IDs, which the requests of one journey share.

use std::cell::RefCell;

use rand::rngs::{SmallRng, SysRng};
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::metrics::scope;

/// ID that [`new_sequence_id`] returns if the system has no source of randomness.
///
/// It is a version 5 UUID. A random ID is a version 4 UUID, so the two are never equal.
///
/// ```
/// assert_ne!(golo::new_sequence_id(), golo::DEFAULT_SEQUENCE_ID, "this system has randomness");
/// ```
pub const DEFAULT_SEQUENCE_ID: &str = "c276c8c7-6fec-5aa9-b6bd-4de12a49a9bb";

thread_local! {
    /// Random generator with 256 bits of state for each thread, seeded by the system. IDs of a whole fleet do not
    /// collide.
    static GENERATOR: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// Returns a new sequence ID: a random (version 4) UUID as text, 36 bytes long.
///
/// Requests that share a sequence ID within one trigger are a journey. The first ID of a trigger becomes the `id` of
/// its [`Response`](crate::Response), unless the load test sets one.
///
/// Never fails and never panics. If the system has no source of randomness, returns [`DEFAULT_SEQUENCE_ID`].
///
/// ```
/// let journey = golo::new_sequence_id();
/// assert_eq!(journey.len(), 36);
/// assert_ne!(journey, golo::new_sequence_id());
/// ```
#[must_use]
pub fn new_sequence_id() -> String {
    let id = fresh(|| SmallRng::try_from_rng(&mut SysRng).ok());
    scope::note_sequence(&id);
    id
}

/// Returns a new ID that the current trigger does not record.
pub(crate) fn unnoted_sequence_id() -> String {
    fresh(|| SmallRng::try_from_rng(&mut SysRng).ok())
}

/// Returns a random number, or `None` if the system has no source of randomness.
pub(crate) fn random() -> Option<u64> {
    with_generator(|| SmallRng::try_from_rng(&mut SysRng).ok(), Rng::next_u64)
}

fn fresh(seed: impl FnOnce() -> Option<SmallRng>) -> String {
    match with_generator(seed, random_bytes) {
        Some(bytes) => text(uuid::Builder::from_random_bytes(bytes).into_uuid()),
        None => DEFAULT_SEQUENCE_ID.to_owned(),
    }
}

/// Draws from the generator of this thread.
fn with_generator<T>(seed: impl FnOnce() -> Option<SmallRng>, draw: impl Fn(&mut SmallRng) -> T) -> Option<T> {
    GENERATOR
        // The generator of a thread that is ending is gone, so this ID gets a temporary one.
        .try_with(|generator| {
            let mut generator = generator.borrow_mut();
            if generator.is_none() {
                *generator = seed();
            }
            generator.as_mut().map(&draw)
        })
        .unwrap_or_else(|_| SmallRng::try_from_rng(&mut SysRng).ok().as_mut().map(&draw))
}

fn text(id: Uuid) -> String {
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

fn random_bytes(generator: &mut SmallRng) -> [u8; 16] {
    let mut bytes = [0; 16];
    generator.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_distinct_version_4_uuids() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| new_sequence_id()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        }
    }

    #[test]
    fn threads_have_independent_generators() {
        let [one, two] = [(); 2].map(|()| std::thread::spawn(new_sequence_id)).map(|t| t.join().unwrap());
        assert_ne!(one, two);
    }

    #[test]
    fn default_id_is_used_without_randomness() {
        std::thread::spawn(|| {
            assert_eq!(fresh(|| None), DEFAULT_SEQUENCE_ID);
            assert_ne!(new_sequence_id(), DEFAULT_SEQUENCE_ID, "recovers once there is randomness");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn default_id_is_a_version_5_uuid() {
        assert_eq!(Uuid::parse_str(DEFAULT_SEQUENCE_ID).unwrap().get_version_num(), 5);
    }
}
