//! Sending a signed event to relays.

use keep_net::{NetError, Outcome, PoolOptions, RelayPolicy, RelayPool, RelayUrl, Relays, Report, Transport};
use keep_types::{Event, Fault};

use crate::PublishView;

/// Sends `event` to `relays` and says what each of them did. Takes as long as the time limit for publishing at most.
///
/// # Errors
/// [`keep_types::ErrorCode::Usage`] without a relay; when no connection can be set up at all. A relay that is down or
/// refuses the event is no error: its report says so.
pub async fn publish(
    event: &Event,
    relays: &[RelayUrl],
    options: PoolOptions,
) -> Result<Vec<PublishView>, Fault> {
    if relays.is_empty() {
        return Err(NetError::NoRelay.into());
    }
    let pool = RelayPool::new(options)?;
    for relay in relays {
        pool.add(relay.clone(), RelayPolicy::OWNER);
    }
    let reports = pool.publish(event, &Relays::All).reports().await;
    pool.shutdown().await;
    Ok(reports.into_iter().map(view).collect())
}

fn view(report: Report) -> PublishView {
    let reason = match report.outcome {
        Outcome::Accepted => None,
        Outcome::Rejected(reason) | Outcome::NotSent(reason) => Some(reason),
        Outcome::NoAnswer => Some("it did not answer; the event may have arrived".into()),
    };
    PublishView { relay: report.relay.to_string(), accepted: reason.is_none(), reason }
}
