//! Receivers behind TLS.

use std::fs;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::acceptor::acceptor;
use crate::points::Points;
use crate::receiver::{Answer, Receiver};
use crate::runs::Run;

/// Starts a proxy for `localhost` that forwards decrypted bytes to `url`. Returns its URL and its certificate in PEM.
async fn terminate(url: &str) -> (String, String) {
    let to = url.trim_start_matches("http://").to_owned();
    let (acceptor, certificate) = acceptor(&["h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut receiver = TcpStream::connect(to).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut receiver).await;
                }
            });
        }
    });
    (format!("https://localhost:{port}"), certificate.pem())
}

#[tokio::test]
async fn trusted_receivers_are_reached_and_others_are_not() {
    for protocol in ["http/protobuf", "grpc"] {
        let receiver = Receiver::start(Answer::Accept);
        let (url, certificate) = terminate(&receiver.url()).await;
        let mut run = Run::to(&url, "-d 2").set("PROTOCOL", protocol);
        let file = run.folder.path().join("ca.pem");
        fs::write(&file, certificate).unwrap();
        run.command.env("SSL_CERT_FILE", file);
        let ran = run.finish().await;
        assert_eq!(ran.remark(&url), "", "{}", ran.text());
        ran.assert_counts(&Points::of(&receiver.received().metrics));

        let before = receiver.received().metrics.len();
        let ran = Run::to(&url, "-d 2").set("PROTOCOL", protocol).finish().await;
        ran.assert_passed();
        assert!(ran.remark(&url).to_lowercase().contains("certificate"), "{}", ran.text());
        assert_eq!(receiver.received().metrics.len(), before);
    }
}
