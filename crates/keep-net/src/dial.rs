//! From a relay's address to an open websocket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async_with_config;
use url::Host;

use crate::wire::{self, Wire};
use crate::{RelayPolicy, RelayUrl};

/// A plain or encrypted connection.
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens a websocket to `relay`. Errors are reasons for people. The caller sets the time limit.
pub(crate) async fn dial(
    relay: &RelayUrl,
    policy: RelayPolicy,
    tls: &Arc<ClientConfig>,
    max_message: usize,
) -> Result<Wire<Socket>, String> {
    let (host, port) = relay.host_and_port().map_err(|e| e.to_string())?;
    let tcp = connect(&host, port, policy).await?;
    let socket = if relay.is_encrypted() {
        let stream = TlsConnector::from(tls.clone()).connect(server_name(&host)?, tcp).await;
        Socket::Tls(Box::new(stream.map_err(|e| describe_tls(&e))?))
    } else {
        Socket::Plain(tcp)
    };
    // Neither redirects nor proxies are followed, so the policy's judgement on the address stands.
    let (socket, _) = client_async_with_config(relay.as_str(), socket, Some(wire::config(max_message)))
        .await
        .map_err(|e| wire::describe(&e))?;
    Ok(Wire::new(socket))
}

/// Connects to the first address of `host` that the policy permits and that answers.
async fn connect(host: &Host<String>, port: u16, policy: RelayPolicy) -> Result<TcpStream, String> {
    let mut refused = false;
    let mut failure = None;
    for address in resolve(host, port).await? {
        if !policy.permits(address.ip()) {
            refused = true;
            continue;
        }
        match open(address).await {
            Ok(stream) => return Ok(stream),
            Err(e) => failure = Some(wire::describe_io(&e)),
        }
    }
    Err(failure.unwrap_or_else(|| {
        if refused {
            "the address lies in a private network, which is not allowed for relays named by others"
                .to_owned()
        } else {
            "the name has no address".to_owned()
        }
    }))
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Without it the kernel holds small messages back until the last one is acknowledged: 40 ms per round trip.
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn resolve(host: &Host<String>, port: u16) -> Result<Vec<SocketAddr>, String> {
    match host {
        Host::Ipv4(ip) => Ok(vec![SocketAddr::new(IpAddr::V4(*ip), port)]),
        Host::Ipv6(ip) => Ok(vec![SocketAddr::new(IpAddr::V6(*ip), port)]),
        Host::Domain(name) => tokio::net::lookup_host((name.as_str(), port))
            .await
            .map(Iterator::collect)
            .map_err(|_| "the name cannot be resolved".to_owned()),
    }
}

fn server_name(host: &Host<String>) -> Result<ServerName<'static>, String> {
    match host {
        Host::Ipv4(ip) => Ok(ServerName::IpAddress((*ip).into())),
        Host::Ipv6(ip) => Ok(ServerName::IpAddress((*ip).into())),
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|_| "not a name that a certificate can hold".to_owned()),
    }
}

fn describe_tls(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => format!("TLS failed: {tls}"),
        None => wire::describe_io(error),
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_shutdown(cx),
        }
    }
}
