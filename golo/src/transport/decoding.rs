//! Decompression of whole bodies.

use std::io;

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

/// Encodings that are requested and decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Decodes {
    pub(crate) gzip: bool,
    pub(crate) brotli: bool,
    pub(crate) deflate: bool,
    pub(crate) zstd: bool,
}

/// Encoding of a body. Each needs golo's feature of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Brotli,
    Deflate,
    Zstd,
}

impl Decodes {
    fn all(self) -> impl Iterator<Item = (&'static str, Encoding)> {
        let all = [
            (self.gzip, "gzip", Encoding::Gzip),
            (self.brotli, "br", Encoding::Brotli),
            (self.deflate, "deflate", Encoding::Deflate),
            (self.zstd, "zstd", Encoding::Zstd),
        ];
        all.into_iter().filter(|(is_on, ..)| *is_on).map(|(_, name, encoding)| (name, encoding))
    }

    /// Returns the value of the header `accept-encoding`, if anything is decoded.
    pub(crate) fn accepted(self) -> Option<HeaderValue> {
        let names: Vec<_> = self.all().map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| HeaderValue::from_str(&names.join(", ")).ok())?
    }

    /// Returns the encoding of a response, if it is to be decoded.
    pub(crate) fn encoding_of(self, headers: &HeaderMap) -> Option<Encoding> {
        let name = headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim();
        self.all().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, encoding)| encoding)
    }
}

impl Encoding {
    /// Decodes a whole body.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not in this encoding, or if this program was built without it.
    pub(crate) async fn decode(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => read(async_compression::tokio::bufread::GzipDecoder::new(body)).await,
            #[cfg(feature = "brotli")]
            Self::Brotli => read(async_compression::tokio::bufread::BrotliDecoder::new(body)).await,
            #[cfg(feature = "deflate")]
            Self::Deflate => read(async_compression::tokio::bufread::ZlibDecoder::new(body)).await,
            #[cfg(feature = "zstd")]
            Self::Zstd => read(async_compression::tokio::bufread::ZstdDecoder::new(body)).await,
            #[allow(unreachable_patterns, reason = "reached if a feature is off")]
            _ => {
                let _ = body;
                Err(io::Error::new(io::ErrorKind::Unsupported, format!("{self:?} needs golo's feature of that name")))
            }
        }
    }
}

#[cfg(any(feature = "gzip", feature = "brotli", feature = "deflate", feature = "zstd"))]
async fn read(mut decoder: impl tokio::io::AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut decoder, &mut body).await?;
    Ok(body)
}
