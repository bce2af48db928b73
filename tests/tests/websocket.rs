//! WebSockets, measured as steps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "support/requests.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use golo::websocket::{self, Message};
use golo::{Output, RequestError};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async, accept_hdr_async};

use self::support::{kinds, patiently, read_head, serve, serve_bytes, triggered};

/// Serves WebSockets, each by `chat`.
async fn rooms<C, F>(chat: C) -> SocketAddr
where
    C: Fn(WebSocketStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let accepted = serve(move |connection| {
        let chat = chat.clone();
        async move {
            let room = accept_async(connection).await.unwrap();
            chat(room).await;
        }
    });
    accepted.await
}

async fn echo(mut room: WebSocketStream<TcpStream>) {
    while let Some(Ok(message)) = room.next().await {
        if message.is_text() || message.is_binary() {
            // A ping in between is answered and never seen.
            room.send(Message::Ping("ping".into())).await.unwrap();
            room.send(message).await.unwrap();
        }
    }
}

/// Name, bytes sent and received, and error of each step.
fn steps(outputs: &[Output]) -> Vec<(&str, u64, i64, Option<&str>)> {
    for output in outputs {
        let Output { method, route, url, status, .. } = output;
        assert_eq!((&**method, route.as_ref(), *status), ("MEASURE", Some(url), 0));
        assert_eq!(output.sequence_id, "journey");
    }
    outputs.iter().map(|output| (&*output.url, output.sent, output.size, output.error.as_deref())).collect()
}

#[tokio::test]
async fn each_step_is_recorded_with_its_bytes() {
    let address = rooms(echo).await;
    let chat = async move {
        let room = golo::client().get(format!("ws://{address}/rooms/4711?token=s3cret"));
        let mut room = websocket::connect("journey", room).await?;
        let answer = room.request("hello").await?;
        room.send(vec![1_u8; 70_000]).await?;
        let bytes = room.receive().await?;
        room.close().await?;
        Ok::<_, RequestError>((answer, bytes))
    };
    let (result, outputs) = triggered(chat).await;
    let (answer, bytes) = result.unwrap();
    assert_eq!((answer.to_text().unwrap(), bytes.len()), ("hello", 70_000));
    assert_eq!(
        steps(&outputs),
        [
            ("WS /rooms/{id} connect", 0, 0, None),
            ("WS /rooms/{id} request", 5, 5, None),
            ("WS /rooms/{id} send", 70_000, 0, None),
            ("WS /rooms/{id} receive", 0, 70_000, None),
            ("WS /rooms/{id} close", 0, 0, None),
        ]
    );
}

#[tokio::test]
async fn steps_have_the_tags_of_the_trigger_and_of_the_group() {
    let address = rooms(echo).await;
    let (_, outputs) = triggered(async move {
        golo::tag("tenant", "blue");
        let mut room = websocket::connect("journey", golo::client().get(format!("ws://{address}/"))).await.unwrap();
        golo::group("ask", room.request("hello")).await.unwrap();
    })
    .await;
    let tags: Vec<_> = outputs.iter().map(|output| (output.tags.get("tenant"), output.tags.get("group"))).collect();
    let tenant = Some("blue".to_owned());
    assert_eq!(tags, [(tenant.clone(), None), (tenant, Some("ask".to_owned()))]);
}

#[tokio::test]
async fn headers_and_cookies_are_sent() {
    let address = serve(|connection| async move {
        let mut seen = String::new();
        #[expect(clippy::result_large_err, reason = "the type of the callback")]
        let look = |request: &Request, mut response: Response| {
            let header = |name| request.headers().get(name).map_or("none", |value| value.to_str().unwrap()).to_owned();
            seen = format!("{} {} {}", request.uri(), header("authorization"), header("cookie"));
            response.headers_mut().insert("set-cookie", "seat=7".parse().unwrap());
            Ok(response)
        };
        let mut room = accept_hdr_async(connection, look).await.unwrap();
        room.send(seen.into()).await.unwrap();
    })
    .await;
    let (seen, outputs) = triggered(async move {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let room = golo::client().get(format!("http://{address}/a?b=c")).bearer_auth("key");
            let mut room = websocket::connect("journey", room).route("/a").await.unwrap();
            seen.push(room.receive().await.unwrap().to_string());
        }
        seen
    })
    .await;
    assert_eq!(seen, ["/a?b=c Bearer key none", "/a?b=c Bearer key seat=7"]);
    assert_eq!(outputs.len(), 4);
}

/// Runs `chat`, which must fail with `kind`. Returns the error's text and that of its last step.
async fn fails<T: Send + 'static>(
    kind: &str,
    chat: impl Future<Output = Result<T, RequestError>> + Send + 'static,
) -> (String, String) {
    let (result, outputs) = triggered(chat).await;
    let Err(error) = result else { panic!("it does not fail") };
    assert_eq!(kinds(&error), if kind == "other" { vec![] } else { vec![kind] }, "{error:?}");
    let last = outputs.last().and_then(|output| output.error.clone()).expect("the step has failed");
    assert!(last.starts_with(&format!("{kind}: ")), "{last}");
    (error.to_string(), last)
}

#[tokio::test]
async fn server_that_is_no_websocket_is_described() {
    let url = serve_bytes("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.replacen("http", "ws", 1);
    let (error, step) = fails("other", websocket::connect("journey", golo::client().get(&url)).into_future()).await;
    assert_eq!(error, format!("WS {url} failed"));
    assert_eq!(step, "other: the server answered with status 403 Forbidden instead of a WebSocket");

    let free = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("ws://ada:s3cret@{}/", free.local_addr().unwrap());
    drop(free);
    let (error, _) = fails("connect", websocket::connect("journey", golo::client().get(&url)).into_future()).await;
    assert!(error.ends_with("could not connect") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn url_of_another_scheme_is_not_recorded() {
    let (result, outputs) =
        triggered(websocket::connect("journey", golo::client().get("ftp://127.0.0.1/")).into_future()).await;
    assert!(result.unwrap_err().is_build());
    assert!(outputs.is_empty());
}

#[tokio::test]
async fn close_by_the_server_is_described() {
    let address = rooms(|mut room: WebSocketStream<TcpStream>| async move {
        let frame = CloseFrame { code: CloseCode::Away, reason: "the room closes".into() };
        room.close(Some(frame)).await.unwrap();
        while room.next().await.is_some() {}
    })
    .await;
    let (error, step) = fails("reset", async move {
        let mut room = websocket::connect("journey", golo::client().get(format!("ws://{address}/"))).await?;
        room.receive().await
    })
    .await;
    assert!(error.ends_with("lost its connection before the response"), "{error}");
    assert_eq!(step, "reset: the server closed the WebSocket: 1001 the room closes");
}

#[tokio::test]
async fn steps_after_the_close_by_the_server_are_resets_and_close_succeeds() {
    let may_end = Arc::new(Notify::new());
    let end = Arc::clone(&may_end);
    let address = rooms(move |mut room: WebSocketStream<TcpStream>| {
        let end = Arc::clone(&end);
        async move {
            room.send(Message::Close(None)).await.unwrap();
            // The connection stays open, so that only the frame says that the WebSocket is closed.
            end.notified().await;
        }
    })
    .await;
    let ((received, sent, closed), outputs) = triggered(async move {
        let room = golo::client().get(format!("ws://{address}/"));
        let mut room = websocket::connect("journey", room).await.unwrap();
        let received = room.receive().await.unwrap_err();
        let sent = room.send("anybody?").await.unwrap_err();
        (received, sent, patiently(room.close()).await)
    })
    .await;
    may_end.notify_one();
    assert!(received.is_reset() && sent.is_reset() && closed.is_ok(), "{received:?} {sent:?} {closed:?}");
    let errors: Vec<_> = steps(&outputs).into_iter().map(|(_, _, _, error)| error).collect();
    let server = Some("reset: the server closed the WebSocket");
    assert_eq!(errors, [None, server, Some("reset: the WebSocket is closed"), None]);
}

#[tokio::test]
async fn close_succeeds_after_an_unread_close_by_the_server() {
    let address = rooms(|mut room: WebSocketStream<TcpStream>| async move {
        room.send(Message::Close(None)).await.unwrap();
        while room.next().await.is_some() {}
    })
    .await;
    let (closed, _) = triggered(async move {
        let room = golo::client().get(format!("ws://{address}/"));
        patiently(websocket::connect("journey", room).await.unwrap().close()).await
    })
    .await;
    closed.unwrap();
}

#[test]
fn debug_of_a_connection_to_be_shows_no_secrets() {
    let room = golo::client().get("ws://ada:s3cret@127.0.0.1/rooms?token=s3cret").bearer_auth("s3cret");
    let text = format!("{:?}", websocket::connect("journey", room));
    assert!(text.contains("ws://127.0.0.1/rooms?…") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn connection_that_breaks_is_a_reset() {
    let address = rooms(|room: WebSocketStream<TcpStream>| async move { drop(room) }).await;
    let (_, step) = fails("reset", async move {
        let mut room = websocket::connect("journey", golo::client().get(format!("ws://{address}/"))).await?;
        room.receive().await
    })
    .await;
    assert_eq!(step, "reset: the server closed the connection without closing the WebSocket");
}

#[tokio::test]
async fn step_ends_after_its_time_limit() {
    let address =
        rooms(|mut room: WebSocketStream<TcpStream>| async move { while room.next().await.is_some() {} }).await;
    let limit = Duration::from_millis(50);
    fails("timeout", async move {
        let room = golo::client().get(format!("ws://{address}/"));
        let mut room = websocket::connect("journey", room).timeout(limit).await?;
        room.request("is anybody there?").await
    })
    .await;
    let silent = serve(|mut connection| async move {
        read_head(&mut connection).await;
        read_head(&mut connection).await;
    })
    .await;
    let room = golo::client().get(format!("ws://{silent}/"));
    fails("timeout", websocket::connect("journey", room).timeout(limit).into_future()).await;
}

#[tokio::test]
async fn dropped_step_is_cancelled_and_loses_no_message() {
    let address = rooms(|mut room: WebSocketStream<TcpStream>| async move {
        // The message comes when the load test has given up waiting for it.
        room.next().await.unwrap().unwrap();
        room.send("late".into()).await.unwrap();
        while room.next().await.is_some() {}
    })
    .await;
    let (late, outputs) = triggered(async move {
        let mut room = websocket::connect("journey", golo::client().get(format!("ws://{address}/"))).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(20), room.receive()).await;
        assert!(early.is_err());
        room.send("now").await.unwrap();
        patiently(room.receive()).await.unwrap()
    })
    .await;
    assert_eq!(late.to_text().unwrap(), "late");
    let errors: Vec<_> = steps(&outputs).into_iter().map(|(_, _, _, error)| error).collect();
    assert_eq!(errors, [None, Some("cancelled"), None, None]);
}

#[tokio::test]
async fn close_waits_for_the_server() {
    let may_answer = Arc::new(Notify::new());
    let answers = Arc::clone(&may_answer);
    let address = rooms(move |mut room: WebSocketStream<TcpStream>| {
        let answers = Arc::clone(&answers);
        async move {
            // The answer to the close frame is sent by the next read.
            assert!(room.next().await.unwrap().unwrap().is_close());
            answers.notified().await;
            while room.next().await.is_some() {}
        }
    })
    .await;
    let (closed, outputs) = triggered(async move {
        let room = websocket::connect("journey", golo::client().get(format!("ws://{address}/"))).await.unwrap();
        let mut closing = pin!(room.close());
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut closing).await.is_err(), "it has no answer yet");
        may_answer.notify_one();
        patiently(closing).await
    })
    .await;
    closed.unwrap();
    assert_eq!(steps(&outputs).last(), Some(&("WS / close", 0, 0, None)));
}
