//! Bodies that are longer than a message of NATS may be, in several messages.

use async_nats::Message;
use async_nats::header::HeaderMap;
use bytes::{Bytes, BytesMut};

use crate::support::squeezed::{squeeze, unsqueeze};

/// Header with the number of a piece and the number of all pieces, such as `2/3`.
pub(in crate::nats) const PIECE: &str = "golo-piece";
/// Header of a body that is compressed, with the value `zstd`.
const ENCODING: &str = "golo-encoding";
/// Number of bytes from which on a body is compressed.
const SQUEEZED: usize = 1024;
/// Number of bytes of a message that are left for its headers.
const HEADERS: usize = 16 << 10;

/// Error of pieces that do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::nats) enum PieceError {
    /// A message has no valid number.
    #[error("a message is not a piece of a call, as golo's are")]
    Foreign,
    /// A piece before this one did not come.
    #[error("a piece of {0} was lost")]
    Lost(usize),
    /// The body cannot be decompressed.
    #[error("the body is not compressed as golo's are, or larger than {} MiB", .0 >> 20)]
    Encoding(usize),
    /// The body is larger than expected.
    #[error("the body is larger than {} MiB, as no golo's is", .0 >> 20)]
    TooLarge(usize),
}

/// Divides a body into messages of at most `most` bytes, with headers. The first one has `headers` too.
pub(super) fn split(mut headers: HeaderMap, body: &Bytes, most: usize) -> Vec<(HeaderMap, Bytes)> {
    let body = squeezed(&mut headers, body);
    let length = room(most);
    let count = body.len().div_ceil(length).max(1);
    let mut pieces = Vec::with_capacity(count);
    for index in 0..count {
        let piece = body.slice(index * length..body.len().min((index + 1) * length));
        headers.insert(PIECE, format!("{}/{count}", index + 1));
        pieces.push((std::mem::take(&mut headers), piece));
    }
    pieces
}

/// Returns the number of bytes of a body that a message of at most `most` bytes has room for.
pub(in crate::nats) fn room(most: usize) -> usize {
    most.saturating_sub(HEADERS).max(1)
}

/// Compresses a body if that makes it smaller, and says so in the headers.
pub(in crate::nats) fn squeezed(headers: &mut HeaderMap, body: &Bytes) -> Bytes {
    if body.len() >= SQUEEZED {
        let smaller = squeeze(body);
        if smaller.len() < body.len() {
            headers.insert(ENCODING, "zstd");
            return smaller.into();
        }
    }
    body.clone()
}

/// The pieces of a body that have come.
#[derive(Debug)]
pub(in crate::nats) struct Pieces {
    body: BytesMut,
    is_squeezed: bool,
    come: usize,
    most: usize,
}

impl Pieces {
    /// Expects a body of at most `most` bytes.
    pub(in crate::nats) fn new(most: usize) -> Self {
        Self { body: BytesMut::new(), is_squeezed: false, come: 0, most }
    }

    /// Adds the next piece. Returns the body once it is complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the message is not the next piece, or the body becomes too large.
    pub(in crate::nats) fn add(&mut self, message: &Message) -> Result<Option<Bytes>, PieceError> {
        let place = message.headers.as_ref().and_then(|headers| headers.get(PIECE));
        let place = place.and_then(|place| place.as_str().split_once('/'));
        let place = place.and_then(|(number, of)| Some((number.parse::<usize>().ok()?, of.parse::<usize>().ok()?)));
        let (number, of) = place.filter(|(number, of)| number <= of).ok_or(PieceError::Foreign)?;
        if number != self.come + 1 {
            return Err(PieceError::Lost(of));
        }
        if self.body.len() + message.payload.len() > self.most {
            return Err(PieceError::TooLarge(self.most));
        }
        self.come = number;
        self.is_squeezed |= message.headers.as_ref().is_some_and(|headers| headers.get(ENCODING).is_some());
        if number == 1 && of == 1 {
            return self.unsqueezed(message.payload.clone()).map(Some);
        }
        self.body.extend_from_slice(&message.payload);
        if number < of {
            return Ok(None);
        }
        let body = std::mem::take(&mut self.body).freeze();
        self.unsqueezed(body).map(Some)
    }

    fn unsqueezed(&self, body: Bytes) -> Result<Bytes, PieceError> {
        match self.is_squeezed {
            true => unsqueeze(&body, self.most).map(Bytes::from).map_err(|_| PieceError::Encoding(self.most)),
            false => Ok(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message((headers, payload): (HeaderMap, Bytes)) -> Message {
        let length = payload.len();
        Message {
            subject: "s".into(),
            reply: None,
            payload,
            headers: Some(headers),
            status: None,
            description: None,
            length,
        }
    }

    proptest! {
        #[test]
        fn body_of_any_length_arrives(body in proptest::collection::vec(0u8..4, 0..5_000), most in 1usize..3_000) {
            let body = Bytes::from(body);
            let mut headers = HeaderMap::new();
            headers.insert("golo-call", "GET /");
            let messages: Vec<_> = split(headers, &body, HEADERS + most).into_iter().map(message).collect();
            prop_assert!(messages.iter().all(|message| message.payload.len() <= most));
            prop_assert!(messages[0].headers.as_ref().unwrap().get("golo-call").is_some());
            let mut pieces = Pieces::new(body.len());
            let (last, others) = messages.split_last().unwrap();
            for message in others {
                prop_assert_eq!(pieces.add(message), Ok(None));
            }
            prop_assert_eq!(pieces.add(last), Ok(Some(body.clone())));
            if !body.is_empty() {
                let mut short = Pieces::new(body.len() - 1);
                let ended = messages.iter().find_map(|message| short.add(message).err());
                let most = body.len() - 1;
                prop_assert!([Some(PieceError::TooLarge(most)), Some(PieceError::Encoding(most))].contains(&ended));
            }
        }
    }

    #[test]
    fn lost_and_foreign_pieces_are_noticed() {
        let body = Bytes::from(vec![7; 30]);
        let messages: Vec<_> = split(HeaderMap::new(), &body, HEADERS + 10).into_iter().map(message).collect();
        assert_eq!(messages.len(), 3);
        let mut pieces = Pieces::new(100);
        assert_eq!(pieces.add(&messages[0]), Ok(None));
        assert_eq!(pieces.add(&messages[2]), Err(PieceError::Lost(3)));
        assert_eq!(pieces.add(&message((HeaderMap::new(), body.clone()))), Err(PieceError::Foreign));
        for wrong in ["1", "4/3", "-1/3", "a/b"] {
            let mut headers = HeaderMap::new();
            headers.insert(PIECE, wrong);
            assert_eq!(Pieces::new(100).add(&message((headers, body.clone()))), Err(PieceError::Foreign), "{wrong}");
        }
    }
}
