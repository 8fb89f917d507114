//! Two processes show each other that they read the same secret, before the first frame, and neither shows the secret.
//!
//! The secret lies in a file that only its user can read. The listening side shows it first, so that nothing can be learnt by
//! connecting. Values are 32 bytes; each proof covers both sides' random numbers and says whose it is.

use std::io;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// What both sides read from the file.
pub type Secret = Zeroizing<[u8; 32]>;

const CLIENT: &[u8] = b"keep pipe v1 client";
const DAEMON: &[u8] = b"keep pipe v1 daemon";

/// As the one who connected.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] when the other side does not know the secret; when it does not answer.
pub async fn as_client<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, secret: &Secret) -> io::Result<()> {
    let ours = random()?;
    send(stream, &[&ours]).await?;
    let (theirs, proof) = (receive(stream).await?, receive(stream).await?);
    check(secret, DAEMON, (&ours, &theirs), &proof)?;
    send(stream, &[&prove(secret, CLIENT, (&ours, &theirs))?.finalize().into_bytes()]).await
}

/// As the one who listens.
///
/// # Errors
/// As [`as_client`].
pub async fn as_daemon<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, secret: &Secret) -> io::Result<()> {
    let theirs = receive(stream).await?;
    let ours = random()?;
    let proof = prove(secret, DAEMON, (&theirs, &ours))?.finalize().into_bytes();
    send(stream, &[&ours, &proof]).await?;
    check(secret, CLIENT, (&theirs, &ours), &receive(stream).await?)
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::getrandom(&mut bytes).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(bytes)
}

/// What the side `whose` says, over the numbers of the client and of the daemon.
fn prove(
    secret: &Secret,
    whose: &[u8],
    (client, daemon): (&[u8; 32], &[u8; 32]),
) -> io::Result<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(&**secret).map_err(|_| io::Error::from(io::ErrorKind::Other))?;
    Ok(mac.chain_update(whose).chain_update(client).chain_update(daemon))
}

fn check(secret: &Secret, whose: &[u8], numbers: (&[u8; 32], &[u8; 32]), proof: &[u8; 32]) -> io::Result<()> {
    prove(secret, whose, numbers)?
        .verify_slice(proof)
        .map_err(|_| io::Error::new(io::ErrorKind::PermissionDenied, "it is not a process of this user"))
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, parts: &[&[u8]]) -> io::Result<()> {
    stream.write_all(&parts.concat()).await
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    fn secret(byte: u8) -> Secret {
        Zeroizing::new([byte; 32])
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn who_reads_the_same_file_is_let_in() {
        run(async {
            let (mut client, mut daemon) = duplex(16);
            let (own, same) = (secret(7), secret(7));
            let both = tokio::join!(as_client(&mut client, &own), as_daemon(&mut daemon, &same));
            both.0.unwrap();
            both.1.unwrap();
        });
    }

    #[test]
    fn nobody_else_is_on_either_side() {
        run(async {
            let (mut client, mut daemon) = duplex(1024);
            let (own, other) = (secret(7), secret(8));
            let answering = async {
                let outcome = as_daemon(&mut daemon, &other).await;
                drop(daemon);
                outcome
            };
            let connecting = async {
                let outcome = as_client(&mut client, &own).await;
                drop(client);
                outcome
            };
            let (client, daemon) = tokio::join!(connecting, answering);
            assert_eq!(client.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert!(daemon.is_err());
        });
    }

    #[test]
    fn an_echo_proves_nothing() {
        run(async {
            let (mut client, mut echo) = duplex(1024);
            let own = secret(7);
            let answering = async move {
                let number = receive(&mut echo).await.unwrap();
                send(&mut echo, &[&number, &number]).await.unwrap();
                // It waits for what the client would say next.
                assert!(receive(&mut echo).await.is_err());
            };
            let connecting = async move {
                let outcome = as_client(&mut client, &own).await;
                drop(client);
                outcome
            };
            let (outcome, ()) = tokio::join!(connecting, answering);
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        });
    }
}
