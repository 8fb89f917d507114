//! The HTTP server against clients that are slow, many, or strangers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_mcp::{Access, HttpOptions, serve_http};
use keep_sdk::SecretText;
use tokio::runtime::Runtime;

const BEARER: &str = "0123456789abcdef";
/// Much longer than anything here takes.
const FOREVER: Duration = Duration::from_secs(120);
const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

/// A server that nobody reaches a vault through: what is tested comes before it.
fn listening(patience: Duration) -> (Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let access = Arc::new(Access::bunker(SecretText::from("bunker://nobody".to_owned())));
    let options = HttpOptions {
        address: "127.0.0.1:0".parse().unwrap(),
        bearer: SecretText::from(BEARER.to_owned()),
        origins: Vec::new(),
        patience,
    };
    let server = runtime.block_on(serve_http(access, Arc::default(), options)).unwrap();
    let address = server.url().trim_start_matches("http://").trim_end_matches("/mcp").parse().unwrap();
    runtime.spawn(server.run());
    (runtime, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(FOREVER)).unwrap();
    stream.set_write_timeout(Some(FOREVER)).unwrap();
    stream
}

fn head(bearer: &str, length: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// The status of the answer.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        line.extend(byte);
    }
    String::from_utf8(line).unwrap().split(' ').nth(1)?.parse().ok()
}

fn greets(address: SocketAddr) -> Option<u16> {
    let mut stream = connect(address);
    stream.write_all(format!("{}{HELLO}", head(BEARER, HELLO.len())).as_bytes()).ok()?;
    status(&mut stream)
}

/// Tries until `status` is what is answered: where little patience is tested, a machine that is busy may use it up.
fn eventually(status: u16, attempt: impl Fn() -> Option<u16>) {
    let begin = Instant::now();
    while attempt() != Some(status) {
        assert!(begin.elapsed() < FOREVER, "{status} is never answered");
    }
}

/// Whether the other side ends the connection, whatever it says before.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let (_runtime, address) = listening(Duration::from_millis(300));
    let mut silent = connect(address);
    let mut slow = connect(address);
    slow.write_all(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ").unwrap();
    // A byte now and then is no progress.
    let mut dripping = slow.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        let begin = Instant::now();
        while begin.elapsed() < FOREVER && dripping.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
        begin.elapsed()
    });
    assert!(is_closed(&mut silent), "a connection that says nothing stays");
    assert!(is_closed(&mut slow), "a head that comes byte by byte is waited for");
    assert!(drip.join().unwrap() < FOREVER);
    eventually(200, || greets(address));
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let (_runtime, address) = listening(Duration::from_millis(300));
    eventually(408, || {
        let mut slow = connect(address);
        slow.write_all(format!("{}{{", head(BEARER, 1000)).as_bytes()).ok()?;
        let status = status(&mut slow)?;
        assert!(is_closed(&mut slow));
        Some(status)
    });
}

#[test]
fn a_body_without_end_is_not_kept() {
    let (_runtime, address) = listening(FOREVER);
    let mut long = connect(address);
    long.write_all(head(BEARER, 1 << 40).as_bytes()).unwrap();
    let mut writing = long.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let piece = vec![b' '; 1 << 16];
        (0..1024).take_while(|_| writing.write_all(&piece).is_ok()).count()
    });
    assert_eq!(status(&mut long), Some(413));
    let _ = long.shutdown(std::net::Shutdown::Both);
    assert!(writer.join().unwrap() < 1024);
}

#[test]
fn strangers_cannot_keep_clients_out() {
    let (_runtime, address) = listening(FOREVER);
    let mut client = connect(address);
    client.write_all(format!("{}{HELLO}", head(BEARER, HELLO.len())).as_bytes()).unwrap();
    assert_eq!(status(&mut client), Some(200));
    let mut strangers: Vec<TcpStream> = (0..300).map(|_| connect(address)).collect();
    for stranger in &mut strangers {
        // The first ones are closed already.
        let _ = stranger.write_all(b"POST /mcp HTTP/1.1\r\n");
    }
    assert_eq!(greets(address), Some(200));
    assert!(is_closed(&mut strangers[0]), "the oldest, which had its time, makes room");
    // Whoever showed the token is not one of them.
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(!is_closed(&mut client), "a client was closed for strangers");
}

/// A client whose words are slow to come has its time, however many strangers come meanwhile.
#[test]
fn a_client_that_takes_a_moment_is_not_put_out_for_strangers() {
    let (_runtime, address) = listening(FOREVER);
    let mut client = connect(address);
    let strangers: Vec<TcpStream> = (0..200).map(|_| connect(address)).collect();
    // The last of them was let in, so all before it were.
    let mut last = connect(address);
    last.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    assert_eq!(status(&mut last), Some(404));
    client.write_all(format!("{}{HELLO}", head(BEARER, HELLO.len())).as_bytes()).unwrap();
    assert_eq!(status(&mut client), Some(200));
    drop(strangers);
}

/// What a session is told, and the status of the answer.
fn tells(address: SocketAddr, session: &str, text: &str) -> Option<u16> {
    let mut stream = connect(address);
    let head = head(BEARER, text.len()).replace(
        "\r\n\r\n",
        &format!(
            "\r\nMcp-Session-Id: {session}\r\nMcp-Protocol-Version: 2025-06-18\r\nConnection: close\r\n\r\n"
        ),
    );
    stream.write_all(format!("{head}{text}").as_bytes()).ok()?;
    status(&mut stream)
}

/// A new session.
fn begins(address: SocketAddr) -> String {
    let mut stream = connect(address);
    stream.write_all(format!("{}{HELLO}", head(BEARER, HELLO.len())).as_bytes()).unwrap();
    assert_eq!(status(&mut stream), Some(200));
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap().to_owned()
}

#[test]
fn whoever_begins_sessions_and_ends_none_has_a_bounded_number() {
    const READY: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let (_runtime, address) = listening(FOREVER);
    let (used, idle) = (begins(address), begins(address));
    let others: Vec<String> = (0..140)
        .map(|_| {
            assert_eq!(tells(address, &used, READY), Some(202));
            begins(address)
        })
        .collect();
    assert_eq!(tells(address, &used, READY), Some(202), "one that is used stays");
    assert_eq!(tells(address, &idle, READY), Some(404), "the one that was not used for longest ended");
    assert_eq!(tells(address, &others[139], READY), Some(202));
}

#[test]
fn a_wrong_token_is_refused_and_the_connection_closed() {
    let (_runtime, address) = listening(FOREVER);
    for wrong in ["", "0123456789abcdee", "0123456789abcdef0", "0123456789abcde"] {
        let mut stream = connect(address);
        stream.write_all(format!("{}{HELLO}", head(wrong, HELLO.len())).as_bytes()).unwrap();
        assert_eq!(status(&mut stream), Some(401), "{wrong}");
        assert!(is_closed(&mut stream));
    }
}
