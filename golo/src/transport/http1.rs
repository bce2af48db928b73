//! HTTP/1.1: one connection, and the exchange of one request for one response on it.
//!
//! The task that sends a request polls its connection itself: there is no task for a connection, and no channel for a
//! request. Between requests a connection keeps no buffers.

mod chunked;
mod head;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::{Method, StatusCode};
use http_body::Body as _;
use reqwest::Body;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use self::chunked::Chunked;
use self::head::{Framing, MOST_BYTES, Parsed};
use crate::error::RequestErrorKind;
use crate::error::transport::{TransportError, is_lost};
use crate::transport::clock::Phase;
use crate::transport::io::Io;
use crate::transport::message::{Broken, BrokenAt, Collected, Head, Hop, Payload, Progress};

/// Bytes that are read at a time.
const READ: usize = 64 << 10;

thread_local! {
    /// Buffers of this thread, which a connection borrows while it is polled.
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static WRITE_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection that speaks HTTP/1.1.
pub(crate) struct Http1 {
    io: Io,
    /// False once the connection cannot carry another request.
    is_reusable: bool,
    /// True if the server said that it closes the connection.
    is_closed_by_server: bool,
}

impl Http1 {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, is_reusable: true, is_closed_by_server: false }
    }

    /// Returns true if the connection can carry another request, as far as is known.
    pub(crate) fn is_open(&mut self) -> bool {
        self.is_reusable && self.io.is_open()
    }

    /// Returns true if the last exchange left the connection in a state in which it can be kept.
    pub(crate) fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    /// Returns true if the server said in its last response that it closes the connection.
    pub(crate) fn is_closed_by_server(&self) -> bool {
        self.is_closed_by_server
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn exchange(
        &mut self,
        hop: &Hop<'_>,
        payload: &mut Payload,
        progress: &mut Progress,
    ) -> Result<(Head, Bytes), Broken> {
        // Only a whole exchange leaves the connection reusable, also if this future is dropped.
        self.is_reusable = false;
        let mut exchange = Exchange::start(hop.method);
        let sending = match exchange.write_head(hop, payload) {
            Ok(()) => poll_fn(|context| exchange.poll(&mut self.io, context, progress)).await,
            Err(reason) => Err(TransportError::new(RequestErrorKind::Other, reason)),
        };
        let at = exchange.broken_at();
        if let Err(error) = sending {
            return Err(Broken { error, at });
        }
        self.is_reusable = exchange.is_reusable();
        self.is_closed_by_server = exchange.is_closed_by_server;
        let Exchange { head, body, .. } = exchange;
        let Some(head) = head else {
            let error = TransportError::new(RequestErrorKind::Other, "the response has no head");
            return Err(Broken { error, at });
        };
        Ok((head, body.into_bytes()))
    }
}

/// State of one exchange.
struct Exchange<'a> {
    method: &'a Method,
    /// Bytes of the head, or of the framing around a part of the body, that have not been written.
    out: Vec<u8>,
    out_at: usize,
    /// The part of the body that follows `out`.
    part: Bytes,
    upload: Upload,
    /// Bytes that the server took, of the head and the body.
    written: u64,
    is_flushed: bool,
    /// True once a chunk has been written, whose end is still missing.
    has_chunk: bool,
    /// Reason why the rest of the request cannot be written.
    unwritten: Option<io::Error>,
    /// The start of a head that has not arrived as a whole.
    partial: Vec<u8>,
    head: Option<Head>,
    keeps_alive: bool,
    is_closed_by_server: bool,
    download: Download,
    body: Collected,
    /// True once any byte of the response has arrived.
    is_answered: bool,
    is_lost: bool,
}

/// The part of the request's body that has not been taken from the load test.
enum Upload {
    Done,
    /// A stream with a length.
    Sized(Body, u64),
    /// A stream in chunks.
    Chunked(Body),
}

/// The part of the response's body that has not arrived.
enum Download {
    Length { left: u64, of: u64 },
    Chunked(Chunked),
    UntilClose,
    Done,
}

impl<'a> Exchange<'a> {
    fn start(method: &'a Method) -> Self {
        let mut out = WRITE_BUFFER.take();
        out.clear();
        Self {
            method,
            out,
            out_at: 0,
            part: Bytes::new(),
            upload: Upload::Done,
            written: 0,
            is_flushed: false,
            has_chunk: false,
            unwritten: None,
            partial: Vec::new(),
            head: None,
            keeps_alive: false,
            is_closed_by_server: false,
            download: Download::Done,
            body: Collected::default(),
            is_answered: false,
            is_lost: false,
        }
    }

    fn write_head(&mut self, hop: &Hop<'_>, payload: &mut Payload) -> Result<(), String> {
        let length = match payload {
            Payload::Whole(bytes) => Some(bytes.len() as u64),
            Payload::Stream(body) => body.size_hint().exact(),
            Payload::Spent => return Err("the body of the request has been sent already".to_owned()),
        };
        let framing = head::write(&mut self.out, hop, length)?;
        match (&*payload, framing) {
            (Payload::Whole(bytes), Framing::Chunked) if !bytes.is_empty() => {
                self.begin_chunk(bytes.len());
                self.part = bytes.clone();
                self.upload = Upload::Chunked(Body::default());
            }
            (Payload::Whole(bytes), _) => self.part = bytes.clone(),
            _ => {
                let Payload::Stream(body) = std::mem::replace(payload, Payload::Spent) else { return Ok(()) };
                self.upload = match framing {
                    Framing::Length(length) => Upload::Sized(body, length),
                    Framing::Chunked | Framing::UntilClose => Upload::Chunked(body),
                };
            }
        }
        Ok(())
    }

    /// Writes and reads until the whole response has arrived.
    fn poll(
        &mut self,
        io: &mut Io,
        context: &mut Context<'_>,
        progress: &mut Progress,
    ) -> Poll<Result<(), TransportError>> {
        if !self.is_flushed && self.unwritten.is_none() && !self.refuses_rest() {
            match self.poll_write(io, context, progress) {
                Poll::Ready(Ok(())) => {
                    self.is_flushed = true;
                    self.recycle();
                    if self.head.is_none() {
                        progress.clock.enter(Phase::Waiting);
                    }
                }
                Poll::Ready(Err(WriteError::Body(error))) => return Poll::Ready(Err(error)),
                // The server may have answered before it closed the connection.
                Poll::Ready(Err(WriteError::Io(error))) => self.unwritten = Some(error),
                Poll::Pending => {}
            }
        }
        self.poll_read(io, context, progress)
    }

    /// Writes the line before a chunk of this length, after the end of the chunk before it.
    fn begin_chunk(&mut self, length: usize) {
        let end = if self.has_chunk { "\r\n" } else { "" };
        self.out.extend_from_slice(format!("{end}{length:x}\r\n").as_bytes());
        self.has_chunk = true;
    }

    /// Returns the buffer of the head to its thread.
    fn recycle(&mut self) {
        WRITE_BUFFER.set(std::mem::take(&mut self.out));
        self.out_at = 0;
    }

    fn poll_write(
        &mut self,
        io: &mut Io,
        context: &mut Context<'_>,
        progress: &mut Progress,
    ) -> Poll<Result<(), WriteError>> {
        loop {
            while self.out_at < self.out.len() || !self.part.is_empty() {
                let out = &self.out[self.out_at..];
                let mut io = Pin::new(&mut *io);
                let written = match self.part.is_empty() {
                    true => io.as_mut().poll_write(context, out),
                    false => io.as_mut().poll_write_vectored(context, &[IoSlice::new(out), IoSlice::new(&self.part)]),
                };
                let Poll::Ready(written) = written else { return Poll::Pending };
                let written = written.map_err(WriteError::Io)?;
                if written == 0 {
                    return Poll::Ready(Err(WriteError::Io(io::ErrorKind::WriteZero.into())));
                }
                self.written += written as u64;
                let of_out = written.min(out.len());
                self.out_at += of_out;
                self.part.advance(written - of_out);
                progress.sent += (written - of_out) as u64;
            }
            if !self.next_part(context)? {
                break;
            }
            if self.out_at == self.out.len() && self.part.is_empty() {
                // TLS may still hold a part of what was written.
                if let Poll::Ready(Err(error)) = Pin::new(io).poll_flush(context) {
                    return Poll::Ready(Err(WriteError::Io(error)));
                }
                return Poll::Pending;
            }
        }
        Pin::new(io).poll_flush(context).map_err(WriteError::Io)
    }

    /// Returns true if the server has answered with an error, so that the rest of the body is not sent.
    fn refuses_rest(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.status.is_client_error() || head.status.is_server_error())
    }

    /// Takes the next part of a streamed body. Leaves nothing to write if the stream has to be waited for, and returns
    /// false at its end.
    fn next_part(&mut self, context: &mut Context<'_>) -> Result<bool, WriteError> {
        let (body, is_chunked) = match &mut self.upload {
            Upload::Done => return Ok(false),
            Upload::Sized(body, _) => (body, false),
            Upload::Chunked(body) => (body, true),
        };
        (self.out_at, _) = (0, self.out.clear());
        let frame = match Pin::new(body).poll_frame(context) {
            Poll::Pending => return Ok(true),
            Poll::Ready(Some(frame)) => {
                let failed = |error: reqwest::Error| {
                    WriteError::Body(TransportError::new(RequestErrorKind::Other, error.without_url()))
                };
                frame.map_err(failed)?.into_data().ok()
            }
            Poll::Ready(None) => {
                if let Upload::Sized(_, 1..) = self.upload {
                    let error = "the body of the request is shorter than its length";
                    return Err(WriteError::Body(TransportError::new(RequestErrorKind::Other, error)));
                }
                self.upload = Upload::Done;
                if !is_chunked {
                    return Ok(false);
                }
                let last: &[u8] = if self.has_chunk { b"\r\n0\r\n\r\n" } else { b"0\r\n\r\n" };
                self.out.extend_from_slice(last);
                return Ok(true);
            }
        };
        let mut data = frame.unwrap_or_default();
        if let Upload::Sized(_, left) = &mut self.upload {
            // A stream that is longer than its length must not be taken for the next request.
            data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= data.len() as u64;
        } else if !data.is_empty() {
            self.begin_chunk(data.len());
        }
        // Trailers and empty frames are left out: an empty chunk would end the body.
        if data.is_empty() {
            context.waker().wake_by_ref();
        }
        self.part = data;
        Ok(true)
    }

    fn poll_read(
        &mut self,
        io: &mut Io,
        context: &mut Context<'_>,
        progress: &mut Progress,
    ) -> Poll<Result<(), TransportError>> {
        let mut buffer = READ_BUFFER.take();
        buffer.resize(READ, 0);
        let polled = loop {
            let mut room = ReadBuf::new(&mut buffer);
            let read = match Pin::new(&mut *io).poll_read(context, &mut room) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(read) => read.map(|()| room.filled().len()),
            };
            let taken = match read {
                Ok(0) => self.end(),
                Ok(length) => {
                    self.is_answered = true;
                    self.take(&buffer[..length], progress)
                }
                Err(error) => Err(self.lost(error)),
            };
            match taken {
                Ok(true) => break Poll::Ready(Ok(())),
                // A part of the response has arrived, and the rest has to be waited for.
                Ok(false) if self.head.is_some() || !self.partial.is_empty() => progress.clock.enter(Phase::Receiving),
                // An interim response, such as `100 Continue`.
                Ok(false) => {}
                Err(error) => break Poll::Ready(Err(error)),
            }
        };
        READ_BUFFER.set(buffer);
        polled
    }

    /// Takes bytes of the response. Returns true at its end.
    fn take(&mut self, input: &[u8], progress: &mut Progress) -> Result<bool, TransportError> {
        let invalid = |reason: &str, has_responded: bool| {
            let kind = if has_responded { RequestErrorKind::Body } else { RequestErrorKind::Other };
            TransportError::new(kind, reason)
        };
        if self.head.is_some() {
            return self.take_body(input, progress).map_err(|reason| invalid(reason, true));
        }
        let joined;
        let mut input = input;
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(input);
            joined = std::mem::take(&mut self.partial);
            input = &joined;
        }
        loop {
            let parsed = head::parse(input, self.method).map_err(|reason| invalid(&reason, false))?;
            let Some(Parsed { head, framing, keeps_alive, rest, has_surplus, length }) = parsed else {
                if input.len() > MOST_BYTES {
                    return Err(invalid(&format!("the head of the response is larger than {MOST_BYTES} bytes"), false));
                }
                self.partial = input.to_vec();
                return Ok(false);
            };
            if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                // The response follows, for example after `100 Continue`.
                input = &input[length..];
                if input.is_empty() {
                    return Ok(false);
                }
                continue;
            }
            progress.status = head.status.as_u16();
            self.is_closed_by_server = !keeps_alive;
            self.keeps_alive = keeps_alive && !has_surplus && head.status != StatusCode::SWITCHING_PROTOCOLS;
            self.head = Some(head);
            return self.take_first(framing, rest, progress).map_err(|reason| invalid(reason, true));
        }
    }

    /// Takes the part of the body that arrived with the head. Returns true if that is all.
    fn take_first(&mut self, framing: Framing, rest: Bytes, progress: &mut Progress) -> Result<bool, &'static str> {
        self.download = match framing {
            Framing::Length(length) => {
                let left = length - rest.len() as u64;
                if left > 0 {
                    self.body.expect(length, progress);
                    self.body.add(&rest, progress);
                } else {
                    self.body.add_bytes(rest, progress);
                }
                if left == 0 { Download::Done } else { Download::Length { left, of: length } }
            }
            Framing::Chunked => {
                self.download = Download::Chunked(Chunked::new());
                return self.take_body(&rest, progress);
            }
            Framing::UntilClose => {
                self.body.add(&rest, progress);
                Download::UntilClose
            }
        };
        Ok(matches!(self.download, Download::Done))
    }

    fn take_body(&mut self, input: &[u8], progress: &mut Progress) -> Result<bool, &'static str> {
        match &mut self.download {
            Download::Length { left, .. } => {
                let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                self.body.add(&input[..length], progress);
                *left -= length as u64;
                self.keeps_alive &= length == input.len();
                if *left > 0 {
                    return Ok(false);
                }
            }
            Download::Chunked(chunked) => {
                let taken = chunked.decode(input, |data| self.body.add(data, progress))?;
                self.keeps_alive &= taken == input.len();
                if !chunked.is_end() {
                    return Ok(false);
                }
            }
            Download::UntilClose => {
                self.body.add(input, progress);
                return Ok(false);
            }
            Download::Done => {}
        }
        self.download = Download::Done;
        Ok(true)
    }

    /// Handles the end of the connection. Returns true if it is the end of the response.
    #[cold]
    fn end(&mut self) -> Result<bool, TransportError> {
        if matches!(self.download, Download::UntilClose) {
            self.download = Download::Done;
            return Ok(true);
        }
        let reason = match (&self.head, &self.download) {
            (None, _) if self.partial.is_empty() => {
                let error = self.unwritten.take().filter(is_lost);
                let error = error.unwrap_or_else(|| {
                    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed before the response")
                });
                return Err(self.lost(error));
            }
            (None, _) => "the connection was closed within the head of the response".to_owned(),
            (_, Download::Length { left, of }) => {
                format!("the connection was closed after {} of {of} bytes of the body", of - left)
            }
            _ => "the connection was closed before the last chunk of the body".to_owned(),
        };
        Err(TransportError::exchange(io::Error::new(io::ErrorKind::UnexpectedEof, reason), self.head.is_some()))
    }

    #[cold]
    fn lost(&mut self, error: io::Error) -> TransportError {
        self.is_lost = is_lost(&error);
        TransportError::exchange(error, self.head.is_some())
    }

    fn broken_at(&self) -> BrokenAt {
        match (self.is_lost && !self.is_answered, self.written) {
            (true, 0) => BrokenAt::Unsent,
            (true, _) => BrokenAt::Unanswered,
            (false, _) => BrokenAt::Other,
        }
    }

    /// Returns true if both messages are complete and the server keeps the connection.
    fn is_reusable(&self) -> bool {
        self.keeps_alive && self.is_flushed && matches!(self.upload, Upload::Done) && self.part.is_empty()
    }
}

/// Reason why a request cannot be written.
enum WriteError {
    Io(io::Error),
    /// The load test's own stream failed.
    Body(TransportError),
}
