//! What relays say to published answers: one task for all of them.

use std::sync::Weak;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use keep_net::Publication;
use keep_types::EventId;
use tokio::sync::mpsc::UnboundedReceiver;

use super::service::Service;

/// An answer on its way. How many there are is bounded by the machine that sends them.
pub type Sent = (EventId, Publication);

/// Tells the machine what became of each answer, until nobody sends any more.
pub async fn read(service: Weak<Service>, mut sent: UnboundedReceiver<Sent>) {
    let mut waiting = FuturesUnordered::new();
    loop {
        tokio::select! {
            next = sent.recv() => {
                let Some((id, publication)) = next else { return };
                waiting.push(async move { (id, publication.accepted().await.is_ok()) });
            }
            Some((id, taken)) = waiting.next() => {
                let Some(service) = service.upgrade() else { return };
                service.acknowledged(&id, taken);
            }
        }
    }
}
