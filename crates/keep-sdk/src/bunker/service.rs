//! The running bunker: events in, answers out.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keep_net::{
    Filter, Received, RelayPolicy, RelayPool, RelayStatus, RelayUrl, Relays, Subscription, Transport,
};
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::Reply;
use keep_nip46::server::{Effect, Job, Limits, Publication, Server, Standing, Ticket};
use keep_signer::{Arrival, Connections, GivenUp, RequestRow, Signer, Unfinished};
use keep_types::{
    DisplayText, EndpointId, Event, EventId, Fault, KeyId, Kind, PublicKey, RequestId, Scheme, SecretText,
    Timestamp,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::ApprovalPage;
use super::acks::{self, Sent};
use super::activity::Activity;
use super::answer::answer;
use super::endpoints::{Directory, Endpoints, Served};

/// Requests that are computed at the same time; further ones wait in the transport's bounded queue.
const AT_ONCE: usize = 256;
/// Activities that a watcher may be behind; beyond that it misses some.
const ACTIVITIES: usize = 1024;
/// Ticks of one second between two looks at the endpoints and clients in the vault.
const LOOK_EVERY: u64 = 2;
/// Ticks of one second between two clean-ups.
const TIDY_EVERY: u64 = 30;
/// How long new relays may take to serve a changed subscription.
const SUBSCRIBED: Duration = Duration::from_secs(8);
/// Ticks of one second between two checks of the whole vault.
const VERIFY_EVERY: u64 = 600;

/// What the tasks of a bunker share.
pub struct Service {
    pub signer: Arc<Signer>,
    pub connections: Connections,
    /// The identities that are served.
    identities: HashMap<KeyId, PublicKey>,
    directory: Arc<Directory>,
    transport: Arc<dyn Transport>,
    pool: Option<Arc<RelayPool>>,
    page: Option<Arc<dyn ApprovalPage>>,
    subscription: Subscription,
    window: Duration,
    looks: mpsc::UnboundedSender<Option<SyncSender<()>>>,
    acks: mpsc::UnboundedSender<Sent>,
    machine: Mutex<Server>,
    known: Mutex<HashSet<(PublicKey, EndpointId)>>,
    activities: mpsc::Sender<Activity>,
}

/// A bunker that serves. Dropping it stops it at once; [`Serving::stop`] first writes what is still to be written.
pub struct Serving {
    service: Arc<Service>,
    tasks: Vec<JoinHandle<()>>,
    activities: mpsc::Receiver<Activity>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

impl Serving {
    /// The next thing that happened. Those that nobody takes are lost beyond a bound.
    pub async fn activity(&mut self) -> Option<Activity> {
        self.activities.recv().await
    }

    /// The service itself, for whoever changes what it serves.
    pub(super) const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The relays and how they are.
    pub fn relays(&self) -> Vec<RelayStatus> {
        self.service.transport.status()
    }

    /// Stops serving, and writes down which answers have left.
    ///
    /// # Errors
    /// When the vault cannot be written. Nothing is lost then: what was decided is in the vault already.
    pub async fn stop(mut self) -> Result<(), Fault> {
        self.tasks.drain(..).for_each(|task| task.abort());
        self.service.tidy().await
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }
}

/// What a bunker is made of.
pub struct Parts {
    pub signer: Arc<Signer>,
    pub connections: Connections,
    pub identities: HashMap<KeyId, PublicKey>,
    pub directory: Arc<Directory>,
    pub transport: Arc<dyn Transport>,
    /// Where relays of later endpoints are added.
    pub pool: Option<Arc<RelayPool>>,
    /// Where a person can decide.
    pub page: Option<Arc<dyn ApprovalPage>>,
}

/// Subscribes, takes up what an earlier process left, and starts the tasks.
pub async fn start(parts: Parts, limits: Limits) -> Result<Serving, Fault> {
    let (activities, watcher) = mpsc::channel(ACTIVITIES);
    let (looks, to_look) = mpsc::unbounded_channel();
    let (acks, sent) = mpsc::unbounded_channel();
    let since = parts.signer.vault().now().minus(limits.window);
    let filter = filter(&parts.directory.now(), since);
    let service = Arc::new(Service {
        subscription: parts.transport.subscribe(vec![filter], &Relays::All),
        signer: parts.signer,
        connections: parts.connections,
        identities: parts.identities,
        directory: parts.directory,
        transport: parts.transport,
        pool: parts.pool,
        page: parts.page,
        window: limits.window,
        machine: Mutex::new(Server::new(limits)),
        known: Mutex::default(),
        activities,
        looks,
        acks,
    });
    service.learn_clients()?;
    if let Err(error) = service.subscription.subscribed().await {
        // Relays that are down are tried again by the transport.
        service.tell(Activity::Trouble { what: error.to_string().as_str().into() });
    }
    // Before anything comes in, so that what comes again is told from what is new.
    service.resume(service.signer.unfinished()?).await?;
    let tasks = vec![
        tokio::spawn(receive(Arc::clone(&service))),
        tokio::spawn(keep_time(Arc::clone(&service))),
        tokio::spawn(look(Arc::clone(&service), to_look)),
        tokio::spawn(acks::read(Arc::downgrade(&service), sent)),
    ];
    Ok(Serving { service, tasks, activities: watcher })
}

fn filter(endpoints: &Endpoints, since: Timestamp) -> Filter {
    Filter::new().kinds([Kind::NostrConnect]).to(endpoints.keys()).since(since)
}

async fn receive(service: Arc<Service>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(received) = service.subscription.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        tokio::spawn(Arc::clone(&service).take(received, place));
    }
}

/// Looks at endpoints and clients anew whenever somebody says that they changed.
async fn look(service: Arc<Service>, mut to_look: mpsc::UnboundedReceiver<Option<SyncSender<()>>>) {
    while let Some(first) = to_look.recv().await {
        let mut waiting: Vec<_> = first.into_iter().collect();
        while let Ok(more) = to_look.try_recv() {
            waiting.extend(more);
        }
        if let Err(error) = service.renew().await {
            service.tell(Activity::Trouble { what: error.to_string().as_str().into() });
        }
        for done in waiting {
            // Whoever waited may have gone.
            let _ = done.try_send(());
        }
    }
}

async fn keep_time(service: Arc<Service>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for ticks in 1_u64.. {
        second.tick().await;
        let effects = service.machine().tick(service.signer.vault().now());
        service.carry_out(effects);
        if ticks % LOOK_EVERY == 0 {
            // Another process may have changed them.
            service.look_anew(None);
        }
        if ticks % TIDY_EVERY == 0
            && let Err(error) = service.tidy().await
        {
            service.tell(Activity::Trouble { what: error.to_string().as_str().into() });
        }
        if ticks % VERIFY_EVERY == 0 {
            // The signer asks the vault for what this finds, with each request.
            let vault = Arc::clone(service.signer.vault());
            tokio::task::spawn_blocking(move || vault.verify().map_err(|error| tracing::error!(%error)));
        }
    }
}

impl Service {
    fn machine(&self) -> MutexGuard<'_, Server> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, HashSet<(PublicKey, EndpointId)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever watches. A watcher that is behind misses it; the audit log does not.
    pub fn tell(&self, activity: Activity) {
        let _ = self.activities.try_send(activity);
    }

    /// Says that endpoints or clients may have changed. `done` hears when they have been looked at.
    pub fn look_anew(&self, done: Option<SyncSender<()>>) {
        // Without the task the bunker is ending.
        let _ = self.looks.send(done);
    }

    /// Whether it serves this key, and listens at one of these relays, or does as soon as an endpoint names them.
    pub fn serves_at(&self, key: KeyId, relays: &[RelayUrl]) -> bool {
        let listens = |status: &RelayStatus| relays.contains(&status.relay);
        self.identities.contains_key(&key)
            && (self.pool.is_some() || self.transport.status().iter().any(listens))
    }

    /// Takes up endpoints that are new, and leaves those that are gone.
    async fn renew(&self) -> Result<(), Fault> {
        self.learn_clients()?;
        let before = self.directory.now();
        let records = self.connections.endpoints()?;
        let endpoints = Endpoints::open(self.signer.vault(), records, &self.identities, &before)?;
        if endpoints.are(&before) {
            return Ok(());
        }
        if let Some(pool) = &self.pool {
            for relay in endpoints.relays()? {
                pool.add(relay, RelayPolicy { allow_private: true });
            }
        }
        let since = self.signer.vault().now().minus(self.window);
        let filter = filter(&endpoints, since);
        self.directory.replace(endpoints);
        self.subscription.update(vec![filter]);
        // A relay that does not answer is tried again; it must not hold up the others.
        let _ = tokio::time::timeout(SUBSCRIBED, self.subscription.subscribed()).await;
        Ok(())
    }

    /// What a relay said to an answer.
    pub fn acknowledged(self: &Arc<Self>, id: &EventId, taken: bool) {
        let effect = self.machine().acknowledged(id, taken);
        self.carry_out(effect.into_iter().collect());
    }

    /// Reads which clients are connected. Whether they still are is judged with each request.
    fn learn_clients(&self) -> Result<(), Fault> {
        let known = self.connections.clients()?;
        let mut old = self.known();
        if *old != known {
            self.subscription.prefer(known.iter().map(|(client, _)| *client));
            *old = known;
        }
        Ok(())
    }

    pub fn welcome(&self, client: PublicKey, endpoint: EndpointId) {
        self.known().insert((client, endpoint));
    }

    pub fn dismiss(&self, client: PublicKey, endpoint: EndpointId) {
        self.known().remove(&(client, endpoint));
    }

    pub fn is_known(&self, client: PublicKey, endpoint: EndpointId) -> bool {
        self.known().contains(&(client, endpoint))
    }

    async fn tidy(&self) -> Result<(), Fault> {
        let before = self.signer.vault().now().minus(Duration::from_secs(RequestRow::KEEP_SECS));
        self.signer.tidy(before).await?;
        self.learn_clients()
    }

    /// One event from a relay, from the first gate to its answer.
    async fn take(self: Arc<Self>, received: Received, place: OwnedSemaphorePermit) {
        let Some(served) = self.directory.now().addressed(received.event.tags()).cloned() else { return };
        let verified = received.event.is_verified();
        let Ok(event) = received.event.into_claim() else { return };
        let endpoint = served.record.id;
        let standing =
            if self.is_known(event.pubkey, endpoint) { Standing::Known } else { Standing::Stranger };
        let now = self.signer.vault().now();
        let Ok(admission) = self.machine().admit(&event, endpoint, standing, now) else { return };
        // The cheap check first: junk costs no signature check. Nothing is done before both.
        let opened = envelope::open(&event, &served.transport)
            .and_then(|opened| if verified { Ok(opened.assume_verified()) } else { opened.verify() });
        let message = match opened {
            Ok(message) => message,
            Err(error) => {
                self.machine().dropped((&error).into());
                return;
            }
        };
        let effect = self.machine().receive(admission, message, now);
        self.pursue(effect, &served, Arrival::New, Some(place)).await;
    }

    /// Carries out what the machine says about one request.
    async fn pursue(
        self: &Arc<Self>,
        effect: Effect,
        served: &Arc<Served>,
        arrival: Arrival,
        place: Option<OwnedSemaphorePermit>,
    ) {
        match effect {
            Effect::Handle(job) => {
                // Apart, so that the task itself stays small: it is made for junk as well.
                let deciding = Box::pin(self.decide(*job, served, arrival, place));
                let Some((ticket, reply)) = deciding.await else { return };
                self.send(ticket, &reply, served);
            }
            Effect::Refuse(ticket, fault) => {
                let reply = Reply::failure(ticket.call_id.clone(), &fault);
                self.send(ticket, &reply, served);
            }
            Effect::Publish(publication) => self.publish(publication),
            Effect::Finished { request, .. } => self.finished(request),
            Effect::Drop(_) => {}
        }
    }

    /// The answer to a request; `None` for a copy of one that is being decided.
    async fn decide(
        self: &Arc<Self>,
        job: Job,
        served: &Arc<Served>,
        arrival: Arrival,
        place: Option<OwnedSemaphorePermit>,
    ) -> Option<(Ticket, Reply)> {
        let Job { ticket, method, digest, asked_at, plaintext, .. } = job;
        let asking = super::answer::Asking {
            ticket: &ticket,
            digest,
            asked_at,
            received: stored_form(ticket.scheme, &plaintext),
            arrival,
        };
        let before_asking = || {
            // A person takes long; others must not wait for the place meanwhile.
            drop(place);
            self.machine().wait_for_person(&ticket)?;
            self.challenge(&ticket, served);
            Ok(())
        };
        let reply = answer(self, served, method, asking, before_asking).await?;
        Some((ticket, reply))
    }

    fn send(self: &Arc<Self>, ticket: Ticket, reply: &Reply, served: &Served) {
        let now = self.signer.vault().now();
        let Some(event) = self.seal(&ticket, reply, served, now) else { return };
        let effects = self.machine().answer(ticket, event, now);
        self.carry_out(effects);
    }

    /// Tells the client where its user can decide, if there is such a place. The answer itself comes later.
    fn challenge(self: &Arc<Self>, ticket: &Ticket, served: &Served) {
        let request = RequestId::from_bytes(ticket.event_id.to_bytes());
        let Some(address) = self.page.as_ref().and_then(|page| page.address(request)) else { return };
        let now = self.signer.vault().now();
        let reply = Reply::challenge(ticket.call_id.clone(), address);
        let Some(event) = self.seal(ticket, &reply, served, now) else { return };
        let effects = self.machine().announce(ticket.endpoint, event, now);
        self.carry_out(effects);
    }

    fn seal(&self, ticket: &Ticket, reply: &Reply, served: &Served, now: Timestamp) -> Option<Event> {
        let mut random = [0; 64];
        if let Err(error) = getrandom::getrandom(&mut random) {
            self.tell(Activity::Trouble { what: error.to_string().as_str().into() });
            return None;
        }
        let (mut nonce, mut aux_rand) = ([0; 32], [0; 32]);
        nonce.copy_from_slice(&random[..32]);
        aux_rand.copy_from_slice(&random[32..]);
        let seal = Seal { to: ticket.client, scheme: ticket.scheme, created_at: now, nonce, aux_rand };
        envelope::seal(&served.transport, reply.to_json().expose(), &seal)
            .inspect_err(|error| {
                let what = DisplayText::new(&format!("an answer could not be sealed: {error}"));
                self.tell(Activity::Trouble { what });
            })
            .ok()
    }

    fn carry_out(self: &Arc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Publish(publication) => self.publish(publication),
                Effect::Finished { request, .. } => self.finished(request),
                Effect::Handle(_) | Effect::Refuse(..) | Effect::Drop(_) => {}
            }
        }
    }

    fn publish(self: &Arc<Self>, publication: Publication) {
        let endpoints = self.directory.now();
        let Some(served) = endpoints.get(publication.endpoint) else { return };
        let event: &Event = &publication.event;
        let sent = self.transport.publish(event, &Relays::Only(served.relays.clone()));
        // Without the task the bunker is ending; the answer is derived again after a restart.
        let _ = self.acks.send((event.id, sent));
    }

    fn finished(&self, request: Option<EventId>) {
        if let Some(request) = request {
            self.signer.answered(RequestId::from_bytes(request.to_bytes()));
        }
    }

    /// Takes up the requests that an earlier process accepted and did not answer. Those that nobody can answer any more are
    /// given up; those of addresses that this process does not serve wait for one that does.
    async fn resume(self: &Arc<Self>, unfinished: Vec<Unfinished>) -> Result<(), Fault> {
        if unfinished.is_empty() {
            return Ok(());
        }
        let there = self.answerable()?;
        let (mut taken_up, mut given_up) = (0, Vec::new());
        for Unfinished { row } in unfinished {
            if !there.contains(&row.endpoint) {
                given_up.push(self.give_up(row.id, GivenUp::Gone));
                continue;
            }
            let Some(served) = self.directory.now().get(row.endpoint).cloned() else { continue };
            let (service, now) = (Arc::clone(self), self.signer.vault().now());
            let Some((scheme, plaintext)) = read_stored_form(&row.received) else {
                given_up.push(self.give_up(row.id, GivenUp::Unreadable));
                continue;
            };
            let message = envelope::Received {
                event_id: EventId::from_byte_array(*row.id.as_bytes()),
                author: PublicKey::from_byte_array(row.client),
                created_at: row.asked_at,
                expires: None,
                scheme,
                plaintext,
            };
            let effect = self.machine().resume(message, row.endpoint, now);
            taken_up += 1;
            tokio::spawn(async move { service.pursue(effect, &served, Arrival::Resumed, None).await });
        }
        if taken_up > 0 {
            self.tell(Activity::Resumed { requests: taken_up });
        }
        for one in given_up {
            // One that cannot be written now is given up at the next start.
            let _ = one.await;
        }
        Ok(())
    }

    /// The endpoints in the vault whose keys are there, whether or not this process serves them.
    fn answerable(&self) -> Result<HashSet<EndpointId>, Fault> {
        let keys: HashSet<KeyId> = self.signer.vault().keys()?.into_iter().map(|key| key.id).collect();
        let endpoints = self.connections.endpoints()?.into_iter();
        Ok(endpoints.filter(|endpoint| keys.contains(&endpoint.key)).map(|endpoint| endpoint.id).collect())
    }

    fn give_up(self: &Arc<Self>, request: RequestId, why: GivenUp) -> JoinHandle<()> {
        let service = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = service.signer.give_up(request, why).await {
                service.tell(Activity::Trouble { what: error.to_string().as_str().into() });
            }
        })
    }
}

/// A request as it is stored: the encryption of its envelope (0 NIP-44, 1 NIP-04), then the decrypted text.
fn stored_form(scheme: Scheme, plaintext: &SecretText) -> Vec<u8> {
    let scheme = match scheme {
        Scheme::Nip44 => 0,
        Scheme::Nip04 => 1,
    };
    let mut stored = Vec::with_capacity(1 + plaintext.expose().len());
    stored.push(scheme);
    stored.extend_from_slice(plaintext.expose().as_bytes());
    stored
}

fn read_stored_form(stored: &[u8]) -> Option<(Scheme, SecretText)> {
    let (scheme, text) = stored.split_first()?;
    let scheme = match scheme {
        0 => Scheme::Nip44,
        1 => Scheme::Nip04,
        _ => return None,
    };
    Some((scheme, SecretText::new(String::from_utf8(text.to_vec()).ok()?)))
}
