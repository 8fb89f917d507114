//! Authentication to relays (NIP-42): with transport keys, never with an identity, which the relay would otherwise learn.

use std::sync::Arc;

use keep_net::{AuthChallenge, AuthSigner};
use keep_types::Event;
use keep_vault::Vault;

use super::endpoints::Directory;

/// Answers a relay with the transport keys of the endpoints that use it.
pub fn answer_with(endpoints: Arc<Directory>, vault: Arc<Vault>) -> Arc<dyn AuthSigner> {
    Arc::new(Transports { endpoints, vault })
}

struct Transports {
    endpoints: Arc<Directory>,
    vault: Arc<Vault>,
}

impl AuthSigner for Transports {
    fn answer(
        &self,
        challenge: AuthChallenge,
    ) -> std::pin::Pin<Box<dyn Future<Output = Vec<Event>> + Send + 'static>> {
        let now = self.vault.now();
        let answers = self
            .endpoints
            .now()
            .iter()
            .filter(|served| served.relays.contains(&challenge.relay))
            .filter_map(|served| {
                let unsigned = challenge.answer(*served.transport.public_key(), now);
                let mut aux = [0; 32];
                getrandom::getrandom(&mut aux).ok()?;
                served.transport.sign(unsigned, &aux).ok()
            })
            .collect();
        Box::pin(std::future::ready(answers))
    }
}
