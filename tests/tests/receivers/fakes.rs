//! Receivers that keep what they get, or misbehave.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request that a receiver got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    /// First line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// A receiver on a free port that answers each request with the same text, or never.
pub(crate) struct Fake {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Got>>>,
    task: JoinHandle<()>,
}

impl Fake {
    /// Starts a receiver. `answer` is a status with headers, such as `204 No Content\r\nx: y`; `None` never answers.
    pub(crate) async fn start(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let keeping = Arc::clone(&got);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer_all(stream, answer, Arc::clone(&keeping)));
            }
        });
        Self { url, got, task }
    }

    /// Returns the requests so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads requests with a length, one after the other. Returns at the end of the connection.
async fn answer_all(mut stream: TcpStream, answer: Option<&str>, got: Arc<Mutex<Vec<Got>>>) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        while read.len() < end + length {
            stream.read_buf(&mut read).await.ok().filter(|count| *count > 0)?;
        }
        let body = read[end..end + length].to_vec();
        read.drain(..end + length);
        got.lock().unwrap().push(Got { head, body });
        match answer {
            Some(answer) => {
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
            None => std::future::pending().await,
        }
    }
}
