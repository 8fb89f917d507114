//! What bounds the machine.

use std::time::Duration;

/// A rate: so many at once, and so many more for each second that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many come back each second.
    pub per_second: u32,
    /// How many at once.
    pub burst: u32,
}

/// The bounds of a [`Server`](super::Server). The default suits a personal bunker; every bound is on memory or work,
/// none is a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How far an event's `created_at` may lie from now, either way.
    pub window: Duration,
    /// Event ids of known clients that are remembered. When there are more within the window, the oldest are forgotten
    /// here, and only the stored requests tell a repetition.
    pub seen_known: usize,
    /// Event ids of strangers that are remembered.
    pub seen_strangers: usize,
    /// Requests of one known client.
    pub client: Rate,
    /// Clients whose rate is measured at the same time; beyond that the longest idle start anew.
    pub clients: usize,
    /// Events of all strangers together: each costs a multiplication on the curve to open.
    pub strangers: Rate,
    /// Refusals that are answered, of all clients together; beyond that they are dropped.
    pub refusals: Rate,
    /// Requests being handled, of all clients.
    pub in_flight: usize,
    /// Requests being handled, of one client.
    pub in_flight_per_client: usize,
    /// Requests waiting for a person, of all clients.
    pub waiting: usize,
    /// Requests waiting for a person, of one client.
    pub waiting_per_client: usize,
    /// Answers that no relay has taken yet. Beyond that the oldest is given up.
    pub outgoing: usize,
    /// The same in bytes of content.
    pub outgoing_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            seen_known: 65_536,
            seen_strangers: 8_192,
            client: Rate { per_second: 1_000, burst: 30_000 },
            clients: 1_024,
            strangers: Rate { per_second: 100, burst: 400 },
            refusals: Rate { per_second: 50, burst: 200 },
            in_flight: 2_048,
            in_flight_per_client: 256,
            waiting: 64,
            waiting_per_client: 8,
            outgoing: 4_096,
            outgoing_bytes: 32 << 20,
        }
    }
}
