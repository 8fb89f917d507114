//! Accepting connections: websocket upgrades, and the relay's description for everybody else (NIP-11).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};

use super::connection;
use super::hub::Hub;
use crate::wire::Wire;

/// Longest HTTP request that is read, in bytes.
const MAX_REQUEST: usize = 16 << 10;

/// Accepts until the task is aborted. `places` bounds the connections.
pub(super) async fn listen(listener: TcpListener, hub: Arc<Hub>, places: Arc<Semaphore>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of file descriptors, mostly: some will come back.
                sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let hub = hub.clone();
        tokio::spawn(async move {
            let opened = timeout(hub.options.handshake_timeout, open(stream, &hub)).await;
            if let Ok(Ok(Some(wire))) = opened {
                connection::serve(hub, wire).await;
            }
            drop(place);
        });
    }
}

/// Reads the request; the websocket, or `None` when something else was asked and answered.
async fn open(mut stream: TcpStream, hub: &Hub) -> io::Result<Option<Wire<TcpStream>>> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(1024);
    let (size, request) = loop {
        if stream.read_buf(&mut read).await? == 0 || read.len() > MAX_REQUEST {
            return Ok(None);
        }
        match Request::try_parse(&read) {
            Ok(Some(parsed)) => break parsed,
            Ok(None) => {}
            Err(_) => {
                respond(&mut stream, "400 Bad Request", "text/plain", "this is a Nostr relay\n").await?;
                return Ok(None);
            }
        }
    };
    let Ok(response) = create_response(&request) else {
        respond(&mut stream, "200 OK", "application/nostr+json", &description(hub)).await?;
        return Ok(None);
    };
    let mut head = Vec::new();
    write_response(&mut head, &response).map_err(io::Error::other)?;
    stream.write_all(&head).await?;
    Ok(Some(Wire::accepted(stream, read.split_off(size), hub.options.max_message).await))
}

async fn respond(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// The relay information document (NIP-11).
fn description(hub: &Hub) -> String {
    let options = &hub.options;
    serde_json::json!({
        "name": options.name,
        "description": "A small relay in memory. Nothing is kept when it ends.",
        "software": "keep",
        "version": env!("CARGO_PKG_VERSION"),
        "supported_nips": [1, 11, 42],
        "limitation": {
            "max_message_length": options.max_message,
            "max_subscriptions": options.max_subscriptions,
            "max_filters": options.max_filters,
            "max_limit": options.max_limit,
            "auth_required": options.require_auth,
            "payment_required": false,
        },
    })
    .to_string()
}
