//! Messages of gRPC in the bytes of a body.

/// Length of the head of a message: a flag and the length of the rest.
const HEAD: usize = 5;

/// Follows the messages of a body through its bytes.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// Head of the last message.
    head: [u8; HEAD],
    /// Number of bytes of the head that have arrived.
    known: usize,
    /// Number of bytes that the last message still lacks.
    missing: u32,
    /// True if the place of the next message is unknown.
    is_lost: bool,
}

/// Place in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the first message, within the head of one, or unknown.
    Unknown,
    /// After a head that no message of gRPC has.
    Foreign,
    /// Within a message of this length in bytes.
    Within(u32),
    /// After a message of this length in bytes.
    After(u32),
}

impl Framing {
    /// Adds bytes that have arrived.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_lost && self.place() != Place::Foreign {
            if self.missing > 0 {
                let taken = bytes.len().min(self.missing as usize);
                self.missing -= taken as u32;
                bytes = &bytes[taken..];
                continue;
            }
            if self.known == HEAD {
                self.known = 0;
            }
            self.head[self.known] = bytes[0];
            self.known += 1;
            bytes = &bytes[1..];
            if self.known == HEAD {
                self.missing = self.length();
            }
        }
    }

    /// Records that bytes have arrived which were not added.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }

    /// Returns the place after the bytes so far.
    pub(super) fn place(&self) -> Place {
        match (self.known == HEAD && !self.is_lost, self.missing) {
            (false, _) => Place::Unknown,
            (true, _) if self.head[0] > 1 => Place::Foreign,
            (true, 0) => Place::After(self.length()),
            (true, _) => Place::Within(self.length()),
        }
    }

    fn length(&self) -> u32 {
        let [_, length @ ..] = self.head;
        u32::from_be_bytes(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(bytes: &[u8]) -> Place {
        let mut framing = Framing::default();
        framing.add(bytes);
        framing.place()
    }

    #[test]
    fn place_is_that_of_the_last_message() {
        assert_eq!(place(b""), Place::Unknown);
        assert_eq!(place(&[0, 0, 0, 0]), Place::Unknown);
        assert_eq!(place(&[0, 0, 0, 0, 0]), Place::After(0));
        assert_eq!(place(&[1, 0, 0, 1, 2, 7]), Place::Within(258));
        assert_eq!(place(&[0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 2, 7, 7]), Place::After(2));
        assert_eq!(place(b"<html>"), Place::Foreign);
        let mut framing = Framing::default();
        framing.add(&[0, 0, 0, 0, 1]);
        framing.lose();
        assert_eq!(framing.place(), Place::Unknown);
    }

    proptest! {
        #[test]
        fn place_does_not_depend_on_how_bytes_arrive(
            lengths in prop::collection::vec(0..20_u32, 0..6),
            cut in 0..100_usize,
            piece in 1..9_usize,
        ) {
            let mut bytes = Vec::new();
            for length in &lengths {
                bytes.push(0);
                bytes.extend(length.to_be_bytes());
                bytes.resize(bytes.len() + *length as usize, 9);
            }
            if let Some(last) = lengths.last() {
                prop_assert_eq!(place(&bytes), Place::After(*last));
            }
            bytes.truncate(cut);
            let mut framing = Framing::default();
            bytes.chunks(piece).for_each(|piece| framing.add(piece));
            prop_assert_eq!(framing.place(), place(&bytes));
        }
    }
}
