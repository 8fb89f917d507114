//! The key under which this machine is a bunker's client. It is no key of the user.

use std::io::Write;
use std::path::PathBuf;

use keep_nip46::BunkerUri;
use keep_types::{ErrorCode, Fault, SecretKey32};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::RemoteSigner;
use crate::high_water::HighWater;

/// The client's key for this URL, made when there is none: the URL's secret is taken once, and afterwards the bunker knows
/// the client by its key. It lies in a file that only its owner can read, under a name that tells nothing.
pub fn client_key(uri: &BunkerUri) -> Result<SecretKey32, Fault> {
    let path = place(uri)?;
    let shown = path.display().to_string();
    let failed =
        |error: std::io::Error| Fault::new(ErrorCode::Storage, format!("cannot use {shown}: {error}"));
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text.trim(), &mut bytes)
                .map_err(|_| Fault::new(ErrorCode::InvalidKey, format!("{shown} holds no client key")))?;
            Ok(SecretKey32::take(&mut bytes))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = RemoteSigner::fresh_key()?;
            if let Some(directory) = path.parent() {
                crate::place::make_directory(directory)?;
            }
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let text = Zeroizing::new(hex::encode(key.expose()));
            options.open(&path).and_then(|mut file| writeln!(file, "{}", *text)).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

fn place(uri: &BunkerUri) -> Result<PathBuf, Fault> {
    let directory = HighWater::directory().ok_or_else(|| {
        Fault::new(ErrorCode::Storage, "there is no directory for what programs remember")
            .with_hint("set XDG_STATE_HOME or HOME")
    })?;
    let hash = Sha256::new()
        .chain_update(b"keep v1 bunker client")
        .chain_update(uri.remote().to_bytes())
        .chain_update(uri.secret().unwrap_or_default())
        .finalize();
    Ok(directory.join("bunkers").join(hex::encode(&hash[..16])))
}
