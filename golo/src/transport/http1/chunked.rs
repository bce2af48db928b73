//! Decoder of bodies in chunks (RFC 9112, section 7.1).

/// Largest number of bytes of extensions and trailers of one body.
const MOST_ASIDE: usize = 64 << 10;

/// Decoder of one body. It takes the bytes as they arrive.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of extensions and trailers so far.
    aside: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The size of a chunk, with its number of digits so far.
    Size(u64, u8),
    Extension(u64),
    SizeLineFeed(u64),
    Data(u64),
    DataReturn,
    DataLineFeed,
    /// The start of a trailer, or of the final line.
    Trailer,
    TrailerText,
    TrailerLineFeed,
    LastLineFeed,
    End,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: State::Size(0, 0), aside: 0 }
    }

    /// Returns true once the whole body has been decoded.
    pub(super) fn is_end(&self) -> bool {
        self.state == State::End
    }

    /// Decodes `input` and passes the data in it to `take`. Returns the number of bytes that belong to the body.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are no chunks.
    pub(super) fn decode(&mut self, input: &[u8], mut take: impl FnMut(&[u8])) -> Result<usize, &'static str> {
        let mut at = 0;
        while at < input.len() && self.state != State::End {
            if let State::Data(left) = self.state {
                let length = usize::try_from(left).map_or(input.len() - at, |left| left.min(input.len() - at));
                take(&input[at..at + length]);
                at += length;
                let left = left - length as u64;
                self.state = if left == 0 { State::DataReturn } else { State::Data(left) };
                continue;
            }
            self.state = self.next(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn next(&mut self, byte: u8) -> Result<State, &'static str> {
        let after_size = |size| if size == 0 { State::Trailer } else { State::Data(size) };
        Ok(match (self.state, byte) {
            (State::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // 15 digits are below 2^60.
                if digits >= 15 {
                    return Err("the size of a chunk is too large");
                }
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                State::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (State::Size(size, 1..), b'\r') => State::SizeLineFeed(size),
            (State::Size(size, 1..), b';' | b' ' | b'\t') => State::Extension(size),
            (State::Size(..), _) => return Err("the size of a chunk is not a hexadecimal number"),
            (State::Extension(size), b'\r') => State::SizeLineFeed(size),
            (State::Extension(_), b'\n') => return Err("a line of chunks ends without a carriage return"),
            (State::Extension(size), _) => self.aside(State::Extension(size))?,
            (State::SizeLineFeed(size), b'\n') => after_size(size),
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size(0, 0),
            (State::Trailer, b'\r') => State::LastLineFeed,
            (State::TrailerText, b'\r') => State::TrailerLineFeed,
            (State::Trailer | State::TrailerText, _) => self.aside(State::TrailerText)?,
            (State::TrailerLineFeed, b'\n') => State::Trailer,
            (State::LastLineFeed, b'\n') => State::End,
            (State::DataReturn | State::DataLineFeed, _) => return Err("a chunk is longer than its size"),
            (State::SizeLineFeed(_) | State::TrailerLineFeed | State::LastLineFeed, _) => {
                return Err("a line of chunks ends without a line feed");
            }
            (State::Data(_) | State::End, _) => self.state,
        })
    }

    /// Counts a byte of an extension or a trailer.
    fn aside(&mut self, next: State) -> Result<State, &'static str> {
        self.aside += 1;
        if self.aside > MOST_ASIDE { Err("the extensions and trailers of chunks are too long") } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let (mut chunked, mut body, mut taken) = (Chunked::new(), Vec::new(), 0);
        for piece in pieces {
            taken += chunked.decode(piece, |data| body.extend_from_slice(data))?;
        }
        Ok((body, taken, chunked.is_end()))
    }

    #[test]
    fn chunks_with_extensions_and_trailers_are_decoded() {
        let text = b"4;a=b\r\nWiki\r\n5 \r\npedia\r\n0\r\nExpires: now\r\nX: y\r\n\r\nHTTP";
        assert_eq!(decoded(&[text]), Ok((b"Wikipedia".to_vec(), text.len() - 4, true)));
    }

    #[test]
    fn invalid_chunks_are_errors() {
        for text in ["x\r\n", "\r\n", "4\n", "1\r\nab\r\n", "1;a\nb", "ffffffffffffffff\r\n", "0\r\n\rx"] {
            assert!(decoded(&[text.as_bytes()]).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn body_is_the_same_however_it_arrives(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in proptest::collection::vec(1_usize..20, 0..20),
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let (mut pieces, mut rest) = (Vec::new(), &text[..]);
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(decoded(&pieces), Ok((chunks.concat(), text.len(), true)));
        }
    }
}
