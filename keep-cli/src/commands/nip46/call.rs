//! `keep nip46 call`: asking another bunker, as a client.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use keep_sdk::{
    BunkerUri, DisplayText, ErrorCode, Fault, PoolOptions, RelayPolicy, RelayPool, RemoteSigner, SecretKey32,
    parse_duration,
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::connect::address;
use crate::args::nip46::Call;
use crate::commands::serve::runtime;
use crate::ending::Ending;
use crate::output::View;
use crate::secrets::unreadable;
use crate::session::Session;
use crate::style::Style;

/// What the bunker answered.
#[derive(Serialize)]
struct Answer {
    method: String,
    result: serde_json::Value,
}

impl View for Answer {
    fn human(&self, _: Style) -> String {
        let text = self.result.as_str().map_or_else(|| self.result.to_string(), str::to_owned);
        if !std::io::stdout().is_terminal() {
            return text;
        }
        // Somebody else wrote it: a terminal shows it, and obeys nothing in it.
        let lines: Vec<String> = text.split('\n').map(|line| DisplayText::new(line).to_string()).collect();
        lines.join("\n")
    }
}

pub fn run(session: &Session, arguments: &Call) -> Result<(), Ending> {
    if arguments.uri != "-" && !arguments.uri.contains("://") {
        let remote = session.open()?.remote_keys();
        let result = remote.ask(&arguments.uri, &arguments.method, &arguments.params)?;
        return session.output.show(&Answer { method: arguments.method.clone(), result });
    }
    let uri = BunkerUri::parse(&address(&arguments.uri)?).map_err(Fault::from)?;
    let wait = parse_duration(&arguments.timeout).map_err(|e| Fault::new(ErrorCode::Usage, e.to_string()))?;
    let key = arguments.client_key_file.as_deref().map(client_key).transpose()?;
    let result = runtime()?.block_on(async {
        let asking = ask(&uri, key.as_ref(), &arguments.method, &arguments.params);
        tokio::time::timeout(wait, asking).await.unwrap_or_else(|_| {
            Err(Fault::new(ErrorCode::TimedOut, "the bunker did not answer in time")
                .with_hint("it may wait for its owner; try again with a longer --timeout"))
        })
    })?;
    session.output.show(&Answer { method: arguments.method.clone(), result })
}

async fn ask(
    uri: &BunkerUri,
    key: Option<&SecretKey32>,
    method: &str,
    params: &[String],
) -> Result<serde_json::Value, Fault> {
    let pool = Arc::new(RelayPool::new(PoolOptions::default())?);
    for relay in uri.relays() {
        pool.add(relay.clone(), RelayPolicy { allow_private: true });
    }
    let connected = RemoteSigner::connect_as(uri, Arc::clone(&pool) as _, "keep", key).await;
    let asked = match connected.map_err(RemoteSigner::refusal) {
        Ok(signer) => signer.call(method, params).await,
        Err(fault) => Err(fault),
    };
    pool.shutdown().await;
    asked
}

/// The client's key in a file that only its owner can read; made when there is none.
fn client_key(path: &Path) -> Result<SecretKey32, Fault> {
    let shown = path.display().to_string();
    let not_a_key = || Fault::new(ErrorCode::InvalidKey, format!("{shown} holds no client key"));
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| not_a_key())?;
            Ok(SecretKey32::take(&mut bytes))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = RemoteSigner::fresh_key()?;
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let text = Zeroizing::new(hex::encode(key.expose()));
            let written = options.open(path).and_then(|mut file| writeln!(file, "{}", *text));
            written
                .map_err(|error| Fault::new(ErrorCode::Storage, format!("cannot write {shown}: {error}")))?;
            Ok(key)
        }
        Err(error) => Err(unreadable(&shown, &error)),
    }
}
