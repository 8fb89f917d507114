//! A websocket that is read and written by one task: many messages are queued and flushed once, and reading goes on
//! while the other side does not take what we write.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

/// Bytes that are collected before they are written without waiting for a flush.
const WRITE_BUFFER: usize = 64 << 10;

/// Bytes that are read from the socket at once.
const READ_BUFFER: usize = 16 << 10;

/// What came in.
pub(crate) enum Inbound {
    Text(Utf8Bytes),
    /// A sign of life without meaning for us: ping, pong, or a binary message (Nostr has none).
    Alive,
}

/// The configuration for messages of at most `max_message` bytes.
pub(crate) fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

pub(crate) struct Wire<S> {
    socket: WebSocketStream<S>,
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub const fn new(socket: WebSocketStream<S>) -> Self {
        Self { socket, unflushed: false }
    }

    /// The server's side, after the handshake; `rest` is what was read beyond it.
    pub async fn accepted(stream: S, rest: Vec<u8>, max_message: usize) -> Self {
        let config = Some(config(max_message));
        Self::new(WebSocketStream::from_partially_read(stream, rest, Role::Server, config).await)
    }

    /// Writes all of `out` and flushes. Pending while the other side does not take it; what was not taken stays.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut VecDeque<Message>,
    ) -> Poll<Result<(), WsError>> {
        let mut socket = Pin::new(&mut self.socket);
        while !out.is_empty() {
            ready!(socket.as_mut().poll_ready(cx))?;
            if let Some(message) = out.pop_front() {
                socket.as_mut().start_send(message)?;
                self.unflushed = true;
            }
        }
        if self.unflushed {
            ready!(socket.as_mut().poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The next message; `None` when the other side closed. Answers pings by itself.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Inbound, WsError>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(Message::Text(text))) => Some(Ok(Inbound::Text(text))),
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                Some(Ok(Inbound::Alive))
            }
            Some(Ok(Message::Close(_))) | None => None,
            Some(Err(e)) => Some(Err(e)),
        })
    }

    /// Says goodbye, and reads on until the other side has done so too: closing a socket with unread data would
    /// reset the connection, and take from the other side what we wrote last.
    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// Has the task polled again after others had their turn and the runtime has looked at its sockets. A task that woke
/// itself in the ordinary way would keep a busy runtime from its sockets for dozens of turns.
pub(crate) fn yield_turn(cx: &mut Context<'_>) {
    let turn = std::pin::pin!(tokio::task::yield_now());
    let _ = turn.poll(cx);
}

/// Why a connection ended, in words for people.
pub(crate) fn describe(error: &WsError) -> String {
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => "connection closed".to_owned(),
        WsError::Io(e) => describe_io(e),
        WsError::Capacity(_) => "sent a message larger than the limit".to_owned(),
        WsError::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
        ) => "connection lost".to_owned(),
        WsError::Protocol(e) => format!("broke the websocket protocol: {e}"),
        WsError::Utf8(_) => "sent text that is not UTF-8".to_owned(),
        WsError::Http(response) => format!("no websocket there (HTTP status {})", response.status().as_u16()),
        WsError::HttpFormat(_) => "no websocket there (not HTTP)".to_owned(),
        other => other.to_string(),
    }
}

/// An operating system's error without its number.
pub(crate) fn describe_io(error: &std::io::Error) -> String {
    use std::io::ErrorKind as E;
    match error.kind() {
        E::ConnectionRefused => "connection refused".to_owned(),
        E::ConnectionReset | E::BrokenPipe | E::UnexpectedEof | E::ConnectionAborted => {
            "connection lost".to_owned()
        }
        E::HostUnreachable | E::NetworkUnreachable => "no route to the host".to_owned(),
        // A read that waited for its whole time ends with the one or the other.
        E::TimedOut | E::WouldBlock => "no answer".to_owned(),
        _ => error.to_string(),
    }
}
