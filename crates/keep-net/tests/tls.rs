//! Encrypted connections (`wss`). The certificates in `tests/tls` are for tests only; the root's key is destroyed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use common::*;
use keep_net::{PoolOptions, RelayUrl, Relays, Transport};
use nostr::Keys;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const ROOT: &[u8] = include_bytes!("tls/root.der");
const LEAF: &[u8] = include_bytes!("tls/leaf.der");
const LEAF_KEY: &[u8] = include_bytes!("tls/leaf.key.der");

/// Ends TLS before a plain relay.
async fn front(upstream: SocketAddr) -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(LEAF)],
            PrivateKeyDer::try_from(LEAF_KEY.to_vec()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(upstream).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test]
async fn a_trusted_certificate_for_the_right_name_is_accepted() {
    let (relay, keys) = (relay().await, Keys::generate());
    let port = front(relay.address()).await;
    let options = || PoolOptions { extra_roots: vec![ROOT.to_vec()], ..PoolOptions::default() };
    for host in ["localhost", "127.0.0.1"] {
        let url: RelayUrl = format!("wss://{host}:{port}").parse().unwrap();
        let pool = pool_with(options(), &[&url]);
        let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
        inbox.subscribed().await.unwrap();
        // Larger than a TLS record and than our buffers.
        let event = note(&keys, &keys.public_key(), &"x".repeat(200_000));
        pool.publish(&event, &Relays::All).accepted().await.unwrap();
        assert_eq!(next(&inbox).await.event.verify().unwrap(), event);
        pool.shutdown().await;
    }
}

#[tokio::test]
async fn strangers_certificates_and_plain_servers_are_refused_with_the_reason() {
    let (relay, keys) = (relay().await, Keys::generate());
    let port = front(relay.address()).await;
    let trusted = PoolOptions { extra_roots: vec![ROOT.to_vec()], ..PoolOptions::default() };
    for (options, url, reason) in [
        (PoolOptions::default(), format!("wss://localhost:{port}"), "UnknownIssuer"),
        (trusted.clone(), format!("wss://127.0.0.2:{port}"), ""),
        (trusted, format!("wss://localhost:{}", relay.address().port()), "TLS failed"),
    ] {
        let pool = pool_with(options, &[&url.parse().unwrap()]);
        let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
        let error = inbox.subscribed().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{url}: {error}");
    }
    let bad = PoolOptions { extra_roots: vec![vec![1, 2, 3]], ..PoolOptions::default() };
    assert!(matches!(keep_net::RelayPool::new(bad), Err(keep_net::NetError::Tls(_))));
}
