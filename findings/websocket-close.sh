#!/usr/bin/env bash
# The close of a WebSocket, by two clients, from a server that takes a second to answer it.
#
# RFC 6455, section 7.1.1, has both sides send a close frame before the connection ends. `close` of websockets 15.0.1 (PyPI)
# returns when the server's frame has come, after a second. `WebSocketStream::close` of tokio-tungstenite 0.30.0 (crates.io)
# returns at once, when its own frame is sent: to time a close with it, or to know that the server agreed, a program must
# go on reading until the stream ends.
#
# golo's users: `golo::websocket` waits for the server's close frame, so that the step `WS … close` is its whole time. The
# test `close_waits_for_the_server` in tests/tests/websocket.rs checks that.
source "$(dirname "$0")/common.sh"

pip_install websockets==15.0.1
cat >"$work/server.py" <<'PY'
import base64, hashlib, socket, sys, threading, time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

def answer(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    original = [line.split(b": ", 1)[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")][0]
    accept = base64.b64encode(hashlib.sha1(original + GUID).digest())
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    connection.recv(4096)  # the close frame
    time.sleep(1)
    try:
        connection.sendall(b"\x88\x02\x03\xe8")
    except OSError:
        pass
    connection.close()

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=answer, args=(connection,), daemon=True).start()
PY
"$work/python/bin/python" "$work/server.py" >"$work/port" &
started+=($!)
until [ -s "$work/port" ]; do sleep 0.1; done
url="ws://127.0.0.1:$(cat "$work/port")/"

mkdir -p "$work/client/src"
cat >"$work/client/Cargo.toml" <<'TOML'
[package]
name = "client"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "1", features = ["macros", "rt"] }
tokio-tungstenite = { version = "=0.30.0" }
TOML
cat >"$work/client/src/main.rs" <<'RS'
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("it connects");
    let begun = std::time::Instant::now();
    socket.close(None).await.expect("it closes");
    println!("{}", if begun.elapsed().as_millis() < 500 { "at once" } else { "after the server's close" });
}
RS
CARGO_TARGET_DIR="$work/target" cargo build --quiet --manifest-path "$work/client/Cargo.toml"
expect "tokio-tungstenite" "at once" "$("$work/target/debug/client" "$url")"
expect "websockets" "after the server's close" "$("$work/python/bin/python" -c '
import sys, time
from websockets.sync.client import connect
socket = connect(sys.argv[1])
begun = time.monotonic()
socket.close()
print("at once" if time.monotonic() - begun < 0.5 else "after the server'"'"'s close")' "$url")"
exit "$changed"
