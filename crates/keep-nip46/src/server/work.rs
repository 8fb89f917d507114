//! Requests that are being handled or wait for a person.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use keep_types::{EventId, PublicKey};

use super::{Limits, Ticket};

/// The table of open requests. It only counts: what they are is known by whoever holds the tickets.
#[derive(Debug, Default)]
pub(super) struct Work {
    open: HashMap<EventId, Open>,
    clients: HashMap<PublicKey, Count>,
    total: Count,
}

#[derive(Debug)]
struct Open {
    client: PublicKey,
    waits: bool,
    /// Alive as long as the ticket is.
    ticket: Weak<()>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    in_flight: usize,
    waiting: usize,
}

impl Work {
    /// Opens a request, if there is room, or if it need not be `bounded`. The place belongs to its ticket.
    pub(super) fn begin(
        &mut self,
        id: EventId,
        client: PublicKey,
        limits: &Limits,
        bounded: bool,
    ) -> Option<Arc<()>> {
        let count = self.clients.get(&client).copied().unwrap_or_default();
        let is_full =
            self.total.in_flight >= limits.in_flight || count.in_flight >= limits.in_flight_per_client;
        if bounded && is_full {
            return None;
        }
        let place = Arc::new(());
        self.open.insert(id, Open { client, waits: false, ticket: Arc::downgrade(&place) });
        self.change(&client, |count| count.in_flight += 1);
        Some(place)
    }

    /// Moves a request to those that wait for a person, if there is room. A request that waits already stays.
    pub(super) fn wait(&mut self, ticket: &Ticket, limits: &Limits) -> bool {
        let Some(open) = self.open.get_mut(&ticket.event_id) else { return false };
        if open.waits {
            return true;
        }
        let count = self.clients.get(&open.client).copied().unwrap_or_default();
        if self.total.waiting >= limits.waiting || count.waiting >= limits.waiting_per_client {
            return false;
        }
        open.waits = true;
        let client = open.client;
        self.change(&client, |count| {
            count.in_flight -= 1;
            count.waiting += 1;
        });
        true
    }

    /// Whether this event is being handled or waits.
    pub(super) fn is_open(&self, id: &EventId) -> bool {
        self.open.contains_key(id)
    }

    /// Closes a request. A refusal never had a place.
    pub(super) fn end(&mut self, ticket: &Ticket) {
        if !ticket.refused {
            self.close(&ticket.event_id);
        }
    }

    /// Closes every request whose ticket was dropped without an answer; how many there were.
    pub(super) fn drop_lost(&mut self) -> u64 {
        let is_lost = |open: &Open| open.ticket.strong_count() == 0;
        let lost: Vec<EventId> =
            self.open.iter().filter(|(_, open)| is_lost(open)).map(|(id, _)| *id).collect();
        lost.iter().for_each(|id| self.close(id));
        lost.len() as u64
    }

    pub(super) const fn in_flight(&self) -> usize {
        self.total.in_flight
    }

    pub(super) const fn waiting(&self) -> usize {
        self.total.waiting
    }

    fn close(&mut self, id: &EventId) {
        let Some(open) = self.open.remove(id) else { return };
        self.change(&open.client, |count| {
            if open.waits {
                count.waiting -= 1;
            } else {
                count.in_flight -= 1;
            }
        });
    }

    /// Changes the client's count and the total alike.
    fn change(&mut self, client: &PublicKey, change: impl Fn(&mut Count)) {
        change(&mut self.total);
        let count = self.clients.entry(*client).or_default();
        change(count);
        if count.in_flight + count.waiting == 0 {
            self.clients.remove(client);
        }
    }
}
