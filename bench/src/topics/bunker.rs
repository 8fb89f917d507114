//! A request over NIP-46: what it computes inside one process, and how many there are in a second over a relay.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use keep_cipher::{ConversationKey, nip44};
use keep_nip46::TransportKey;
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{Method, Reply};
use keep_nip46::server::{Effect, Limits as ServerLimits, Rate, Server, Standing};
use keep_sdk::{
    Builtin, Bunker, BunkerOptions, BunkerUri, EmbeddedRelay, EventTemplate, Headless, Limits, Offer,
    PoolOptions, RelayOptions, RelayPolicy, RelayPool, RemoteSigner, TokenTerms, Transport,
};
use keep_signer::Repeatable;
use keep_store::MemoryStore;
use keep_types::{
    Answer, Clock as _, Event, Intent, Origin, PublicKey, Request, RequestId, Scheme, SecretKey32,
    SecretText, SystemClock,
};
use nostr::JsonUtil as _;
use secp256k1::{Keypair, Message, SECP256K1};
use tokio::task::JoinSet;

use super::fixture::{Connected, Place};
use crate::measure::{Measure, median, percentile, process_time};
use crate::table::{Quantity, Row};

/// Requests that are on their way at the same time.
const IN_FLIGHT: usize = 32;
/// Requests of a round inside the process.
const ROUND: usize = 640;
const ROUNDS: usize = 7;
/// Requests over the relay with one in flight, and with many.
const ALONE: usize = 200;
const TOGETHER: usize = 3_200;

pub fn rows() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = runtime.block_on(in_process())?;
    for place in [Relay::Elsewhere, Relay::Embedded] {
        rows.extend(runtime.block_on(over_relay(place))?);
    }
    rows.push(runtime.block_on(memory())?);
    Ok(rows)
}

/// No bound stands in the way of the measurement.
fn unbounded() -> ServerLimits {
    let rate = Rate { per_second: 1 << 20, burst: 1 << 30 };
    ServerLimits { client: rate, ..ServerLimits::default() }
}

/// Of every request, what no implementation can leave out: its event is verified and opened, two signatures are made, the answer
/// is sealed; the key of the conversation is known.
fn least() -> Result<Duration> {
    let pair = Keypair::from_seckey_slice(SECP256K1, &[1; 32])?;
    let conversation =
        ConversationKey::derive(&pair.secret_key(), &PublicKey::from(pair.x_only_public_key().0))?;
    // As long as the requests below, and their answers.
    let (asked, answered) = ("x".repeat(480), "x".repeat(760));
    let sealed = nip44::encrypt(&conversation, &asked, &[5; 32])?;
    let (public, message) = (pair.x_only_public_key().0, Message::from_digest([7; 32]));
    let signature = SECP256K1.sign_schnorr_with_aux_rand(&message, &pair, &[9; 32]);
    Ok(Measure::CPU.of(|| {
        black_box(nip44::decrypt(&conversation, black_box(&sealed))).ok();
        black_box(nip44::encrypt(&conversation, black_box(&answered), &[6; 32])).ok();
        black_box(SECP256K1.sign_schnorr_with_aux_rand(black_box(&message), &pair, &[9; 32]));
        black_box(SECP256K1.sign_schnorr_with_aux_rand(black_box(&message), &pair, &[8; 32]));
        black_box(SECP256K1.verify_schnorr(black_box(&signature), &message, &public)).ok();
    }))
}

/// A bunker without sockets and disk: envelope, machine and pipeline.
struct Inside {
    world: Connected,
    transport: TransportKey,
    machine: Mutex<Server>,
}

async fn in_process() -> Result<Vec<Row>> {
    let client = key(1)?;
    let world = Connected::new(Arc::new(MemoryStore::new()), *client.public_key()).await?;
    let inside =
        Arc::new(Inside { world, transport: key(2)?, machine: Mutex::new(Server::new(unbounded())) });
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        alone.push(inside.round(requests(&client, &inside.transport, 2 * round)?, 1).await?);
        together.push(inside.round(requests(&client, &inside.transport, 2 * round + 1)?, IN_FLIGHT).await?);
    }
    let (least, reference) = (least()?, "two signatures, one verification, NIP-44 twice");
    let what = "sign_event over NIP-46, no socket, no disk: CPU";
    Ok(vec![
        Row::new(format!("{what}, {IN_FLIGHT} in flight"), median(together), reference, least),
        Row::new(format!("{what}, one at a time"), median(alone), reference, least),
    ])
}

impl Inside {
    /// The CPU time of all threads for each of these requests, `tasks` of them at the same time.
    async fn round(self: &Arc<Self>, requests: Vec<Event>, tasks: usize) -> Result<Duration> {
        let count = u32::try_from(requests.len())?;
        let queue = Arc::new(Mutex::new(requests));
        let begin = process_time();
        let mut running = JoinSet::new();
        for _ in 0..tasks {
            let (inside, queue) = (Arc::clone(self), Arc::clone(&queue));
            running.spawn(async move {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                while let Some(request) = next() {
                    black_box(inside.answer(request).await?);
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        Ok(process_time().saturating_sub(begin) / count)
    }

    async fn answer(&self, event: Event) -> Result<Event> {
        let (now, endpoint) = (self.world.vault.now(), self.world.endpoint.id);
        let machine = || self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let admission = machine()
            .admit(&event, endpoint, Standing::Known, now)
            .map_err(|reason| anyhow!("not admitted: {reason:?}"))?;
        let message = envelope::open(&event, &self.transport)?.verify()?;
        let Effect::Handle(job) = machine().receive(admission, message, now) else {
            return Err(anyhow!("not handled"));
        };
        let Method::SignEvent(template) = job.method else { return Err(anyhow!("another method")) };
        let request = Request {
            id: RequestId::from_bytes(job.ticket.event_id.to_bytes()),
            origin: Origin::Nip46 { client: job.ticket.client, endpoint },
            key: self.world.key.id,
            intent: Intent::SignEvent(template.into_unsigned(self.world.key.nostr_key())?),
            asked_at: job.asked_at,
        };
        let received = job.plaintext.expose().as_bytes().to_vec();
        let repeat = Repeatable { received, fingerprint: Some(hex::encode(job.digest)) };
        let answer = self.world.signer.handle(request, Some(repeat)).await.map_err(|e| anyhow!("{e}"))?;
        let Answer::Event(signed) = answer else { return Err(anyhow!("not an event")) };
        let reply = Reply::success(job.ticket.call_id.clone(), SecretText::new(signed.as_json()));
        let seal = seal_to(job.ticket.client);
        let sealed = envelope::seal(&self.transport, reply.to_json().expose(), &seal)?;
        let (id, request) = (sealed.id, RequestId::from_bytes(job.ticket.event_id.to_bytes()));
        black_box(machine().answer(job.ticket, sealed.clone(), now));
        machine().acknowledged(&id, true);
        self.world.signer.answered(request);
        Ok(sealed)
    }
}

fn key(byte: u8) -> Result<TransportKey> {
    Ok(TransportKey::new(&SecretKey32::take(&mut [byte; 32]))?)
}

fn seal_to(to: PublicKey) -> Seal {
    Seal { to, scheme: Scheme::Nip44, created_at: SystemClock.now(), nonce: [3; 32], aux_rand: [4; 32] }
}

fn requests(client: &TransportKey, to: &TransportKey, round: usize) -> Result<Vec<Event>> {
    let seal = seal_to(*to.public_key());
    let request = |number: usize| {
        let event = format!(
            r#"{{\"kind\":1,\"content\":\"{}\",\"tags\":[[\"t\",\"keep\"]],\"created_at\":{}}}"#,
            "x".repeat(300),
            1_700_000_000 + number
        );
        let text = format!(r#"{{"id":"{number}","method":"sign_event","params":["{event}"]}}"#);
        Ok(envelope::seal(client, &text, &seal)?)
    };
    (round * ROUND..(round + 1) * ROUND).map(request).collect()
}

/// How the bunker reaches the relay. The client always comes over a websocket.
#[derive(Clone, Copy)]
enum Relay {
    /// Over a websocket, as any other.
    Elsewhere,
    /// As a part of its own process, whose verifications it shares.
    Embedded,
}

/// Client, relay and bunker in this process, between them websockets on loopback; policy and durable records on.
async fn over_relay(reached: Relay) -> Result<Vec<Row>> {
    let place = Place::new()?;
    let (keep, key) = place.keep("bunker")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let relay = EmbeddedRelay::bind(address, RelayOptions::default()).await?;
    let bunker = keep.bunker(Arc::new(Headless));
    let relays = vec![relay.url().clone()];
    let offer = Offer { relays, policy: Builtin::Full.policy(), limits: Limits::default() };
    let url = bunker.offer(&key, &offer)?.bunker_url;
    let options = BunkerOptions { limits: unbounded(), ..BunkerOptions::default() };
    let (_serving, how) = match reached {
        Relay::Elsewhere => (bunker.serve(&key, options).await?, "a relay"),
        Relay::Embedded => {
            let local = Arc::new(relay.local(Bunker::inbox_limits()));
            (bunker.serve_over(&key, local, options).await?, "the embedded relay")
        }
    };
    let pool = RelayPool::new(PoolOptions::default())?;
    pool.add(relay.url().clone(), RelayPolicy { allow_private: true });
    let pool: Arc<dyn Transport> = Arc::new(pool);
    let client = Arc::new(RemoteSigner::connect(&BunkerUri::parse(&url)?, pool, "bench").await?);
    burst(&client, 4, 40).await?;
    let alone = burst(&client, 1, ALONE).await?;
    let together = burst(&client, IN_FLIGHT, TOGETHER).await?;
    let (what, one) = (format!("sign_event over NIP-46 and {how}"), "one in flight");
    Ok(vec![
        Row::new(format!("{what}, {IN_FLIGHT} in flight"), together.rate(), one, alone.rate()),
        Row::new("  median of one answer's time", together.p50, one, alone.p50),
        Row::new("  99th percentile of an answer's time", together.p99, one, alone.p99),
        Row::new("  CPU of bunker, relay and client", together.cpu, one, alone.cpu),
    ])
}

/// How a burst of requests went.
struct Burst {
    each: Duration,
    p50: Duration,
    p99: Duration,
    cpu: Duration,
}

impl Burst {
    fn rate(&self) -> Quantity {
        Quantity::Rate(1.0 / self.each.as_secs_f64())
    }
}

async fn burst(client: &Arc<RemoteSigner>, tasks: usize, count: usize) -> Result<Burst> {
    let (begin, begin_cpu) = (Instant::now(), process_time());
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let client = Arc::clone(client);
        running.spawn(async move {
            let mut times = Vec::new();
            for number in (task..count).step_by(tasks) {
                let template = EventTemplate::new(1, "hello", Vec::new(), 1_700_000_000 + number as u64);
                let asked = Instant::now();
                client.sign_event(template).await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.extend(done??);
    }
    ensure!(times.len() == count, "answers are missing");
    let share = u32::try_from(count)?;
    let cpu = process_time().saturating_sub(begin_cpu) / share;
    Ok(Burst { each: begin.elapsed() / share, p99: percentile(times.clone(), 99), p50: median(times), cpu })
}

/// Clients whose memory is measured, and those that come before, so that what is made once is there.
const CLIENTS: u32 = 1_000;
const WARM: u32 = 100;
/// What a connected client may take, in bytes.
const CLIENT_GOAL: u64 = 4 << 10;

/// What each of a thousand connected clients, with a grant and a signature, adds to the process.
async fn memory() -> Result<Row> {
    let place = Place::new()?;
    let (keep, key) = place.keep("clients")?;
    let relay =
        EmbeddedRelay::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), RelayOptions::default()).await?;
    let terms = TokenTerms {
        key: None,
        policy: "full".to_owned(),
        name: None,
        uses: CLIENTS + WARM,
        seconds: None,
        relays: vec![relay.url().clone()],
        limits: Limits::default(),
    };
    let uri = BunkerUri::parse(&keep.nip46().create_token(terms)?.bunker_url)?;
    let rate = Rate { per_second: 1 << 20, burst: 1 << 30 };
    let limits = ServerLimits { strangers: rate, ..unbounded() };
    let options = BunkerOptions { limits, ..BunkerOptions::default() };
    let wire = || Arc::new(relay.local(Bunker::inbox_limits()));
    let _serving = keep.bunker(Arc::new(Headless)).serve_over(&key, wire(), options).await?;
    let transport: Arc<dyn Transport> = wire();
    let mut before = 0;
    for number in 0..WARM + CLIENTS {
        if number == WARM {
            before = resident()?;
        }
        // The client itself is gone again at once.
        let client = RemoteSigner::connect(&uri, Arc::clone(&transport), "bench").await?;
        client.sign_event(EventTemplate::new(1, "hello", Vec::new(), 1_700_000_000)).await?;
    }
    let each = resident()?.saturating_sub(before) / u64::from(CLIENTS);
    let what = format!("memory of each of {CLIENTS} connected clients");
    Ok(Row::new(what, Quantity::Bytes(each), "the goal", Quantity::Bytes(CLIENT_GOAL)))
}

/// The memory of this process that is in use, in bytes.
fn resident() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or_else(|| anyhow!("no size in statm"))?.parse()?;
    Ok(pages * u64::try_from(rustix::param::page_size())?)
}
