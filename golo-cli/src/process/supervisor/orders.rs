//! `golo`, as its supervisor sees it: orders come from it, reports go to it, and one day it is gone.

use std::{io, os::fd::AsFd as _};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::report::Report;

/// What `golo` wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Stop,
    Kill,
}

/// The socket that is the supervisor's stdin.
#[derive(Debug)]
pub(super) struct Golo {
    orders: Lines<BufReader<OwnedReadHalf>>,
    reports: OwnedWriteHalf,
    /// Whether the other end is closed.
    gone: bool,
}

impl Golo {
    /// # Errors
    ///
    /// Where stdin is no socket: a person typed this.
    pub(super) fn on_stdin() -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.peer_addr()?;
        socket.set_nonblocking(true)?;
        let (orders, reports) = UnixStream::from_std(socket)?.into_split();
        Ok(Self { orders: BufReader::new(orders).lines(), reports, gone: false })
    }

    /// The next order. `golo`'s end is one, and the last: to stop.
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

    /// Tells it something, if it is still there.
    pub(super) async fn tell(&mut self, report: Report) {
        _ = self.reports.write_all(format!("{report}\n").as_bytes()).await;
    }
}
