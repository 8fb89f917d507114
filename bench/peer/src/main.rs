//! A bunker built on nostr-connect that allows everything, at the relay that its argument names.
//!
//! Prints its bunker URL when it has had a second to subscribe, and ends with its standard input.

use nostr_connect::prelude::*;
use tokio::io::AsyncReadExt as _;

struct AllowAll;

impl NostrConnectSignerActions for AllowAll {
    fn approve(&self, _client: &PublicKey, _request: &NostrConnectRequest) -> bool {
        true
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let relay = std::env::args().nth(1).ok_or("usage: keep-bench-peer RELAY")?;
    let keys = NostrConnectKeys { signer: Keys::generate(), user: Keys::generate() };
    let signer = NostrConnectRemoteSigner::new(keys, [relay.as_str()], Some("bench".into()), None)?;
    let url = signer.bunker_uri();
    let serving = tokio::spawn(async move {
        if let Err(error) = signer.serve(AllowAll).await {
            eprintln!("keep-bench-peer: {error}");
        }
    });
    // It does not say when it has subscribed, and what comes before that is lost.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    println!("{url}");
    // Whoever started it closes this.
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    serving.abort();
    Ok(())
}
