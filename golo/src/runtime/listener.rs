//! Listeners of a served load test: TCP or a Unix socket.

use std::{fmt, io, str::FromStr};

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use crate::Error;

/// A listening address from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `HOST:PORT`
    Tcp(String),
    /// `unix:PATH`
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err("no path after `unix:`".to_owned()),
            #[cfg(unix)]
            Some(path) => Ok(Self::Unix(path.into())),
            #[cfg(not(unix))]
            Some(_) => Err("Unix sockets are not supported on this system; use HOST:PORT".to_owned()),
            None => match text.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Self::Tcp(text.to_owned())),
                _ => Err("expected HOST:PORT, as in `127.0.0.1:9999`, or unix:PATH".to_owned()),
            },
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Listener for [`Loadtest::serve_on`](crate::Loadtest::serve_on), created from a tokio `TcpListener` or
/// `UnixListener`.
///
/// ```
/// # async fn example() -> std::io::Result<()> {
/// let listener: golo::Listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?.into();
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct Listener {
    /// Declared first, so that the file is removed before the socket closes. Afterwards it might belong to another
    /// process.
    #[cfg(unix)]
    _file: Option<SocketFile>,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// An accepted connection.
pub(super) enum Connection {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self {
            socket: Socket::Tcp(listener),
            #[cfg(unix)]
            _file: None,
        }
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self { socket: Socket::Unix(listener), _file: None }
    }
}

impl Listener {
    pub(super) async fn bind(address: &Address) -> Result<Self, Error> {
        let listener = match address {
            Address::Tcp(address) => TcpListener::bind(address).await.map(Self::from),
            #[cfg(unix)]
            Address::Unix(path) => bind_unix(path).await,
        };
        listener.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Error::address(
                format!("`{address}` is already in use; stop the process that listens there, or set another address with `--addr`"),
                None,
            ),
            _ => Error::address(format!("cannot listen on {address}"), Some(error.into())),
        })
    }

    /// Returns the address to connect to. Port 0 has become the actual port.
    pub(super) fn address(&self) -> String {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(|address| address.to_string()).unwrap_or_default(),
            #[cfg(unix)]
            Socket::Unix(listener) => match listener.local_addr() {
                Ok(address) => format!("unix:{}", address.as_pathname().unwrap_or("".as_ref()).display()),
                Err(_) => String::new(),
            },
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Connection> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A small response must not wait for an acknowledgement. Fails only if the client is gone already.
                let _ = stream.set_nodelay(true);
                Ok(Connection::Tcp(stream))
            }
            #[cfg(unix)]
            Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| Connection::Unix(stream)),
        }
    }
}

/// Binds to `path`. Replaces a socket that a dead process left there.
#[cfg(unix)]
async fn bind_unix(path: &std::path::Path) -> io::Result<Listener> {
    use std::os::unix::fs::FileTypeExt as _;
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
            let is_dead =
                UnixStream::connect(path).await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !is_socket {
                return Err(io::Error::other("the file exists and is not a socket"));
            }
            if !is_dead {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    Ok(Listener { socket: Socket::Unix(listener), _file: Some(SocketFile(path.to_owned())) })
}

/// Removes the socket's file when dropped.
#[cfg(unix)]
#[derive(Debug)]
struct SocketFile(std::path::PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_parses_and_displays() {
        for address in ["127.0.0.1:0", "localhost:9999", "[::1]:80"] {
            assert_eq!(address.parse::<Address>().unwrap().to_string(), address);
        }
        for wrong in ["", "9999", "localhost", "host:port", "host:70000", ":80", "unix:"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn unix_address_keeps_its_path() {
        assert_eq!("unix:a b/c.sock".parse(), Ok(Address::Unix("a b/c.sock".into())));
    }
}
