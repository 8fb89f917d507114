//! A request over NIP-46: what it computes inside one process, beside what no implementation can leave out.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use keep_cipher::{ConversationKey, nip44};
use keep_nip46::TransportKey;
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{Method, Reply};
use keep_nip46::server::{Effect, Server, Standing};
use keep_signer::Repeatable;
use keep_store::MemoryStore;
use keep_types::{
    Answer, Clock as _, Event, Intent, Origin, PublicKey, Request, RequestId, Scheme, SecretKey32,
    SecretText, SystemClock, event_json,
};
use secp256k1::schnorr::Signature;
use secp256k1::{Keypair, Message, SECP256K1};
use tokio::task::JoinSet;

use super::fixture::Connected;
use super::relayed::{IN_FLIGHT, unbounded};
use crate::measure::{median, process_time, threads_time};
use crate::table::Row;

/// Requests of a round inside the process.
const ROUND: usize = 640;
const ROUNDS: usize = 7;

pub fn rows() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(in_process())
}

/// Of every request, what no implementation can leave out: its event is verified and opened, two signatures are made, the answer
/// is sealed; the key of the conversation is known.
struct Least {
    pair: Keypair,
    conversation: ConversationKey,
    /// As long as the requests below, and their answers.
    asked: String,
    answered: String,
    signature: Signature,
}

impl Least {
    fn new() -> Result<Self> {
        let pair = Keypair::from_seckey_slice(SECP256K1, &[1; 32])?;
        let public = PublicKey::from(pair.x_only_public_key().0);
        let conversation = ConversationKey::derive(&pair.secret_key(), &public)?;
        let asked = nip44::encrypt(&conversation, &"x".repeat(480), &[5; 32])?;
        let signature = SECP256K1.sign_schnorr_with_aux_rand(&Self::message(), &pair, &[9; 32]);
        Ok(Self { pair, conversation, asked, answered: "x".repeat(760), signature })
    }

    fn message() -> Message {
        Message::from_digest([7; 32])
    }

    fn once(&self) {
        let (public, message) = (self.pair.x_only_public_key().0, Self::message());
        black_box(nip44::decrypt(&self.conversation, black_box(&self.asked))).ok();
        black_box(nip44::encrypt(&self.conversation, black_box(&self.answered), &[6; 32])).ok();
        black_box(SECP256K1.sign_schnorr_with_aux_rand(black_box(&message), &self.pair, &[9; 32]));
        black_box(SECP256K1.sign_schnorr_with_aux_rand(black_box(&message), &self.pair, &[8; 32]));
        black_box(SECP256K1.verify_schnorr(black_box(&self.signature), &message, &public)).ok();
    }

    /// The CPU time of all threads for each of a round's requests, in as many tasks as the bunker has: two cores at work are
    /// slower than one.
    async fn round(self: &Arc<Self>, tasks: usize) -> Result<Duration> {
        let begin = process_time();
        let mut running = JoinSet::new();
        for _ in 0..tasks {
            let least = Arc::clone(self);
            running.spawn(async move {
                for _ in 0..ROUND / tasks {
                    least.once();
                    tokio::task::yield_now().await;
                }
            });
        }
        while let Some(done) = running.join_next().await {
            done?;
        }
        Ok(process_time().saturating_sub(begin) / u32::try_from(ROUND)?)
    }
}

/// What a round took, for each request.
#[derive(Default)]
struct Spent {
    whole: Vec<Duration>,
    /// Without the thread that judges, seals and stores.
    no_store: Vec<Duration>,
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
    let least = Arc::new(Least::new()?);
    let (mut ours, mut bare) = ([Spent::default(), Spent::default()], [Vec::new(), Vec::new()]);
    for round in 0..ROUNDS {
        for (at, tasks) in [1, IN_FLIGHT].into_iter().enumerate() {
            let requests = requests(&client, &inside.transport, 2 * round + at)?;
            let (whole, no_store) = inside.round(requests, tasks).await?;
            ours[at].whole.push(whole);
            ours[at].no_store.push(no_store);
            bare[at].push(least.round(tasks).await?);
        }
    }
    let reference = "two signatures, one verification, NIP-44 twice";
    let what = "sign_event over NIP-46, no socket, no disk: CPU";
    let mut rows = Vec::new();
    let how = ["one at a time".to_owned(), format!("{IN_FLIGHT} in flight")];
    for ((how, ours), bare) in how.iter().zip(ours).zip(bare).rev() {
        let bare = median(bare);
        rows.push(Row::new(format!("{what}, {how}"), median(ours.whole), reference, bare));
        rows.push(Row::new("  without the store's thread", median(ours.no_store), reference, bare));
    }
    Ok(rows)
}

impl Inside {
    /// The CPU time for each of these requests, `tasks` of them at the same time: of all threads, and of all but the
    /// store's.
    async fn round(self: &Arc<Self>, requests: Vec<Event>, tasks: usize) -> Result<(Duration, Duration)> {
        let count = u32::try_from(requests.len())?;
        let queue = Arc::new(Mutex::new(requests));
        let store = || threads_time("self", Some("keep-writer"));
        let (begin, store_begin) = (process_time(), store()?);
        let mut running = JoinSet::new();
        for _ in 0..tasks {
            let (inside, queue) = (Arc::clone(self), Arc::clone(&queue));
            running.spawn(async move {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                while let Some(request) = next() {
                    inside.answer(request).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        let (whole, store) = (process_time().saturating_sub(begin), store()?.saturating_sub(store_begin));
        Ok((whole / count, whole.saturating_sub(store) / count))
    }

    async fn answer(&self, event: Event) -> Result<()> {
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
        let reply = Reply::success(job.ticket.call_id.clone(), SecretText::new(event_json("", &signed, "")));
        let seal = seal_to(job.ticket.client);
        let sealed = envelope::seal(&self.transport, reply.to_json().expose(), &seal)?;
        let (id, request) = (sealed.id, RequestId::from_bytes(job.ticket.event_id.to_bytes()));
        black_box(machine().answer(job.ticket, sealed, now));
        machine().acknowledged(&id, true);
        self.world.signer.answered(request);
        Ok(())
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
