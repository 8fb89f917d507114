//! Sending a signed event to relays.

use keep_net::{
    NetError, Outcome, PoolOptions, RelayPolicy, RelayPool, RelayState, RelayStatus, RelayUrl, Relays,
    Report, Transport,
};
use keep_types::{Event, Fault};

use crate::PublishView;

/// Sends `event` to `relays` and says what each of them did. Takes as long as the time limit for publishing at most, and ends
/// before that where no relay can be connected to.
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
    let publication = pool.publish(event, &Relays::All);
    let reports = tokio::select! {
        reports = publication.reports() => reports,
        reports = none_reachable(&pool) => reports,
    };
    pool.shutdown().await;
    Ok(reports.into_iter().map(view).collect())
}

/// Returns when the first attempt to connect has failed at every relay, with what each of them said.
async fn none_reachable(pool: &RelayPool) -> Vec<Report> {
    let mut changes = pool.status_changes();
    loop {
        changes.borrow_and_update();
        let reports: Option<Vec<Report>> = pool.status().into_iter().map(unreached).collect();
        match reports {
            Some(reports) => return reports,
            // The pool lives as long as this, so there will be another change or none ever.
            None if changes.changed().await.is_err() => std::future::pending().await,
            None => {}
        }
    }
}

fn unreached(status: RelayStatus) -> Option<Report> {
    match status.state {
        RelayState::Failed { reason } if status.connections == 0 => {
            Some(Report { relay: status.relay, outcome: Outcome::NotSent(reason) })
        }
        RelayState::Failed { .. }
        | RelayState::Connecting
        | RelayState::Connected
        | RelayState::AuthRequired => None,
    }
}

fn view(report: Report) -> PublishView {
    let reason = match report.outcome {
        Outcome::Accepted => None,
        Outcome::Rejected(reason) | Outcome::NotSent(reason) => Some(reason),
        Outcome::NoAnswer => Some("it did not answer; the event may have arrived".into()),
    };
    PublishView { relay: report.relay.to_string(), accepted: reason.is_none(), reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use std::time::Duration;

    use super::*;

    fn event() -> Event {
        let hex = |digit: &str, length| digit.repeat(length);
        serde_json::from_value(serde_json::json!({
            "id": hex("a", 64), "pubkey": hex("b", 64), "created_at": 1, "kind": 1, "tags": [],
            "content": "x", "sig": hex("c", 128),
        }))
        .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn where_nobody_listens_nothing_is_waited_for() {
        // Two ports that were free just now.
        let ports: Vec<_> = (0..2).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let relays: Vec<RelayUrl> = ports
            .iter()
            .map(|port| RelayUrl::parse(&format!("ws://{}", port.local_addr().unwrap())).unwrap())
            .collect();
        drop(ports);
        let hours = Duration::from_secs(7_200);
        let options = PoolOptions { publish_timeout: hours, ..PoolOptions::default() };
        let event = event();
        let published = tokio::time::timeout(Duration::from_secs(120), publish(&event, &relays, options));
        let reports = published.await.unwrap().unwrap();
        assert_eq!(reports.len(), 2);
        for report in reports {
            let reason = report.reason.unwrap();
            assert!(!report.accepted && reason.as_str().contains("refused"), "{reason}");
        }
    }
}
