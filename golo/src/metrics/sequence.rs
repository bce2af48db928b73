//! Sequence IDs: what ties the requests of one journey together.

use std::cell::RefCell;

use rand::{
    Rng, SeedableRng,
    rngs::{SmallRng, SysRng},
};
use uuid::Uuid;

use crate::metrics::scope;

/// What [`new_sequence_id`] gives when the system has no randomness.
///
/// A version 5 UUID, where a fresh ID is a version 4 one, so the two are never equal.
///
/// ```
/// assert_ne!(golo::new_sequence_id(), golo::DEFAULT_SEQUENCE_ID, "this system has randomness");
/// ```
pub const DEFAULT_SEQUENCE_ID: &str = "c276c8c7-6fec-5aa9-b6bd-4de12a49a9bb";

thread_local! {
    /// 256 bits of state a thread, seeded by the system: enough that IDs of a whole fleet do not meet.
    static GENERATOR: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// A fresh sequence ID: a random (version 4) UUID as text, 36 bytes long.
///
/// Requests that share a sequence ID within one trigger are a journey. The first ID of a trigger becomes the
/// `id` of its [`Response`](crate::Response), unless the load test sets one.
///
/// Never fails and never panics: without randomness from the system it gives [`DEFAULT_SEQUENCE_ID`].
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

/// A fresh ID that no trigger takes note of.
pub(crate) fn unnoted_sequence_id() -> String {
    fresh(|| SmallRng::try_from_rng(&mut SysRng).ok())
}

fn fresh(seed: impl FnOnce() -> Option<SmallRng>) -> String {
    let bytes = GENERATOR
        // A thread that is ending has no generator any more: one is made for this ID alone.
        .try_with(|generator| {
            let mut generator = generator.borrow_mut();
            if generator.is_none() {
                *generator = seed();
            }
            generator.as_mut().map(random_bytes)
        })
        .unwrap_or_else(|_| SmallRng::try_from_rng(&mut SysRng).ok().as_mut().map(random_bytes));
    match bytes {
        Some(bytes) => text(uuid::Builder::from_random_bytes(bytes).into_uuid()),
        None => DEFAULT_SEQUENCE_ID.to_owned(),
    }
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
    fn ids_are_version_4_and_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| new_sequence_id()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        }
    }

    #[test]
    fn threads_do_not_share_a_stream() {
        let [one, two] = [(); 2].map(|()| std::thread::spawn(new_sequence_id)).map(|t| t.join().unwrap());
        assert_ne!(one, two);
    }

    #[test]
    fn without_randomness_it_is_the_default() {
        std::thread::spawn(|| {
            assert_eq!(fresh(|| None), DEFAULT_SEQUENCE_ID);
            assert_ne!(new_sequence_id(), DEFAULT_SEQUENCE_ID, "and recovers with the system");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_default_is_a_version_5_uuid() {
        assert_eq!(Uuid::parse_str(DEFAULT_SEQUENCE_ID).unwrap().get_version_num(), 5);
    }
}
