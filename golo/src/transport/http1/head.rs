//! Heads of HTTP/1.1 messages: requests as they are written, responses as they are parsed.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper_util::client::proxy::matcher::Intercept;

use crate::transport::message::{Head, Hop};

/// Number of headers for which there is room on the stack.
const HEADERS: usize = 64;
/// Largest number of headers of a response.
const MOST_HEADERS: usize = 1_000;
/// Largest head of a response, in bytes. Browsers accept 256 KiB.
pub(super) const MOST_BYTES: usize = 256 << 10;

/// Way in which the end of a message's body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// The body has this number of bytes.
    Length(u64),
    Chunked,
    /// The body ends with the connection.
    UntilClose,
}

/// Writes the head of a request to `out`, and returns the framing of its body. `length` is the length of the body, if it
/// is known.
///
/// # Errors
///
/// Returns an error if a header contradicts the body.
pub(super) fn write(out: &mut Vec<u8>, hop: &Hop<'_>, length: Option<u64>) -> Result<Framing, String> {
    let headers = hop.headers;
    out.extend_from_slice(hop.method.as_str().as_bytes());
    out.push(b' ');
    let proxy = hop.origin.plain_proxy();
    if proxy.is_some() {
        // The absolute form, by which a proxy knows the target.
        out.extend_from_slice(b"http://");
        out.extend_from_slice(hop.origin.authority.as_bytes());
    }
    out.extend_from_slice(hop.url.path().as_bytes());
    if let Some(query) = hop.url.query() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if !headers.contains_key(HOST) {
        header(out, b"host", hop.origin.authority.as_bytes());
    }
    if let Some(auth) = proxy.and_then(Intercept::basic_auth).filter(|_| !headers.contains_key(PROXY_AUTHORIZATION)) {
        header(out, b"proxy-authorization", auth.as_bytes());
    }
    let framing = framing(hop, length)?;
    let is_chunked = framing == Framing::Chunked;
    let mut has_length = false;
    for (name, value) in headers {
        match *name {
            // An encoding that does not end in `chunked` would leave the end of the body open.
            TRANSFER_ENCODING if !is_chunked || !ends_chunked(value) => continue,
            CONTENT_LENGTH if is_chunked || has_length => continue,
            CONTENT_LENGTH => has_length = true,
            _ => {}
        }
        header(out, name.as_str().as_bytes(), value.as_bytes());
    }
    match framing {
        Framing::Chunked if !headers.get_all(TRANSFER_ENCODING).iter().next_back().is_some_and(ends_chunked) => {
            header(out, b"transfer-encoding", b"chunked");
        }
        // As reqwest does, an empty body is not announced.
        Framing::Length(length) if !has_length && length > 0 => {
            header(out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        _ => {}
    }
    out.extend_from_slice(b"\r\n");
    Ok(framing)
}

fn header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn framing(hop: &Hop<'_>, length: Option<u64>) -> Result<Framing, String> {
    if length != Some(0) && hop.headers.contains_key(TRANSFER_ENCODING) {
        return Ok(Framing::Chunked);
    }
    let Some(written) = hop.headers.get(CONTENT_LENGTH) else {
        return Ok(length.map_or(Framing::Chunked, Framing::Length));
    };
    let announced = parse_length(written.as_bytes()).ok_or("the header `content-length` is not a number")?;
    match length {
        Some(length) if length != announced => {
            Err(format!("the header `content-length` is {announced}, but the body has {length} bytes"))
        }
        _ => Ok(Framing::Length(announced)),
    }
}

fn ends_chunked(value: &HeaderValue) -> bool {
    let last = value.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

fn parse_length(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The head of a response, and everything that it says about the connection.
pub(super) struct Parsed {
    pub(super) head: Head,
    pub(super) framing: Framing,
    /// True if the connection may carry another request.
    pub(super) keeps_alive: bool,
    /// The part of the body that arrived with the head.
    pub(super) rest: Bytes,
    /// True if more arrived than the response has.
    pub(super) has_surplus: bool,
    /// Number of bytes of the head.
    pub(super) length: usize,
}

/// Parses the head of a response to a request with this method. Returns `None` if more bytes are needed.
///
/// # Errors
///
/// Returns an error if the bytes are no head of an HTTP/1.1 response.
pub(super) fn parse(input: &[u8], method: &Method) -> Result<Option<Parsed>, String> {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS];
    match parse_in(input, method, &mut room) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut room = vec![MaybeUninit::uninit(); MOST_HEADERS];
            parse_in(input, method, &mut room)
        }
        other => other,
    }
    .map_err(|error| match error {
        httparse::Error::TooManyHeaders => format!("the response has more than {MOST_HEADERS} headers"),
        error => format!("the response is not HTTP: {error}"),
    })
}

fn parse_in<'b>(
    input: &'b [u8],
    method: &Method,
    room: &mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<Option<Parsed>, httparse::Error> {
    let mut parsed = httparse::Response::new(&mut []);
    let length = match ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, input, room)? {
        Status::Complete(length) => length,
        Status::Partial => return Ok(None),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(httparse::Error::Status)?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let framing = framing_of(parsed.headers, status, method)?;
    // The head and the part of the body that arrived with it share one allocation.
    let arrived = (input.len() - length) as u64;
    let (rest, has_surplus) = match framing {
        Framing::Length(expected) => (arrived.min(expected), arrived > expected),
        Framing::Chunked | Framing::UntilClose => (arrived, false),
    };
    let bytes = Bytes::copy_from_slice(&input[..length + rest as usize]);
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    let (mut closes, mut keeps) = (false, false);
    for header in &*parsed.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        if name == CONNECTION {
            for word in header.value.split(|byte| *byte == b',') {
                closes |= word.trim_ascii().eq_ignore_ascii_case(b"close");
                keeps |= word.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
            }
        }
        let at = header.value.as_ptr() as usize - input.as_ptr() as usize;
        let value = bytes.slice(at..at + header.value.len());
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| httparse::Error::HeaderValue)?;
        headers.append(name, value);
    }
    let keeps_alive = !closes && (version == Version::HTTP_11 || keeps) && framing != Framing::UntilClose;
    let head = Head { status, version, headers };
    Ok(Some(Parsed { head, framing, keeps_alive, rest: bytes.slice(length..), has_surplus, length }))
}

/// Returns the framing of a response's body, as RFC 9112, section 6.3, defines it.
fn framing_of(
    headers: &[httparse::Header<'_>],
    status: StatusCode,
    method: &Method,
) -> Result<Framing, httparse::Error> {
    if *method == Method::HEAD || status.is_informational() || matches!(status.as_u16(), 204 | 304) {
        return Ok(Framing::Length(0));
    }
    let mut length = None;
    let mut encoding: Option<&[u8]> = None;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            for word in header.value.split(|byte| *byte == b',') {
                let parsed = parse_length(word).ok_or(httparse::Error::HeaderValue)?;
                if length.is_some_and(|known| known != parsed) {
                    return Err(httparse::Error::HeaderValue);
                }
                length = Some(parsed);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            encoding = Some(header.value);
        }
    }
    Ok(match encoding {
        Some(encoding) => {
            let last = encoding.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            match last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                true => Framing::Chunked,
                false => Framing::UntilClose,
            }
        }
        None => length.map_or(Framing::UntilClose, Framing::Length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<Parsed>, String> {
        parse(text.as_bytes(), &Method::GET)
    }

    #[test]
    fn response_with_its_body_is_parsed_at_once() {
        let parsed = parsed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhelloX").unwrap().unwrap();
        assert_eq!(parsed.head.status, 200);
        assert_eq!(parsed.head.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((parsed.framing, &*parsed.rest), (Framing::Length(5), &b"hello"[..]));
        assert!(parsed.keeps_alive && parsed.has_surplus);
    }

    #[test]
    fn framing_follows_the_headers_the_status_and_the_method() {
        for (head, framing, keeps_alive) in [
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 3", Framing::Chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip", Framing::UntilClose, false),
            ("HTTP/1.1 200 OK", Framing::UntilClose, false),
            ("HTTP/1.1 204 No Content", Framing::Length(0), true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7", Framing::Length(0), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: foo, Close", Framing::Length(0), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0", Framing::Length(0), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive", Framing::Length(0), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4, 4", Framing::Length(4), true),
        ] {
            let parsed = parsed(&format!("{head}\r\n\r\n")).unwrap().unwrap();
            assert_eq!((parsed.framing, parsed.keeps_alive), (framing, keeps_alive), "{head}");
        }
        let head = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", &Method::HEAD).unwrap().unwrap();
        assert_eq!(head.framing, Framing::Length(0));
    }

    #[test]
    fn partial_and_invalid_heads_are_told_apart() {
        assert!(parsed("HTTP/1.1 200 OK\r\nContent-Le").unwrap().is_none());
        for text in [
            "hello there, this is no HTTP\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn response_may_have_as_many_headers_as_browsers_accept() {
        let headers: String = (0..256).map(|n| format!("x-{n}: v\r\n")).collect();
        let parsed_head = parsed(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).unwrap().unwrap();
        assert_eq!(parsed_head.head.headers.len(), 256);
        let headers: String = (0..=MOST_HEADERS).map(|n| format!("x-{n}: v\r\n")).collect();
        let error = parsed(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).err().unwrap();
        assert!(error.contains("more than 1000 headers"), "{error}");
    }
}
