//! A load test that accepts every connection and never sends anything.

use std::os::unix::net::UnixListener;

fn main() -> std::io::Result<()> {
    let address = std::env::var("GOLO_ADDR").unwrap_or_default();
    let listener = UnixListener::bind(address.strip_prefix("unix:").unwrap_or_default())?;
    let mut taken = Vec::new();
    for connection in listener.incoming() {
        taken.push(connection?);
    }
    Ok(())
}
