//! The supervisor's connection to `golo`: receives orders and sends reports.

use std::{io, os::fd::AsFd as _};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::report::Report;

/// An order from `golo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Stop,
    Kill,
}

/// Socket that is the supervisor's stdin.
#[derive(Debug)]
pub(super) struct Golo {
    orders: Lines<BufReader<OwnedReadHalf>>,
    reports: OwnedWriteHalf,
    /// True once the other end is closed.
    gone: bool,
}

impl Golo {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// Returns an error if stdin is not a socket, because a user started the subcommand.
    pub(super) fn on_stdin() -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.peer_addr()?;
        socket.set_nonblocking(true)?;
        let (orders, reports) = UnixStream::from_std(socket)?.into_split();
        Ok(Self { orders: BufReader::new(orders).lines(), reports, gone: false })
    }

    /// Returns the next order. When `golo` ends, returns a last order to stop.
    pub(super) async fn order(&mut self) -> Order {
        while !self.gone {
            match self.orders.next_line().await.ok().flatten().as_deref() {
                Some("stop") => return Order::Stop,
                Some("kill") => return Order::Kill,
                Some(_) => {}
                None => {
                    self.gone = true;
                    return Order::Stop;
                }
            }
        }
        std::future::pending().await
    }

    /// Sends a report, if `golo` still exists.
    pub(super) async fn send(&mut self, report: Report) {
        _ = self.reports.write_all(format!("{report}\n").as_bytes()).await;
    }
}
