//! The barest bunker there can be, to see how many requests a machine can answer at all: socket, envelope, signature.
//!
//! It allows everything and remembers nothing. At most it syncs a record of each request before it answers, as whoever
//! promises durable records has to. What it reaches bounds every bunker on this machine, at this relay.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::{Arc, mpsc};

use anyhow::{Context as _, Result};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use keep_nip46::TransportKey;
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{Call, Method, Reply};
use keep_types::{Clock as _, Event, Scheme, SecretKey32, SystemClock, event_json};
use nostr::JsonUtil as _;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;

use super::fixture::Place;

/// The bytes of a record: about as many as an entry of the audit log has.
const RECORD: usize = 200;
/// The records lie in a file of this length, which is written before, so that a sync writes nothing but them.
const FILE: usize = 1 << 20;

/// What happens before an answer leaves.
#[derive(Clone, Copy)]
pub enum Records {
    /// Nothing, as in a bunker on nostr-connect.
    None,
    /// A record is synced, for all answers at once that wait.
    Synced,
}

/// The bunker, while it serves.
pub struct Barest {
    pub url: String,
    serving: JoinHandle<()>,
}

/// What all of its tasks share.
struct Shared {
    /// Its transport key, and the key that it signs with.
    key: TransportKey,
    answers: Answers,
}

/// Where an answer goes.
enum Answers {
    ToRelay(UnboundedSender<Message>),
    ToRecords(mpsc::Sender<Message>),
}

impl Barest {
    /// Connects to the relay at `relay`, and serves there until it is dropped. Records lie in `place`.
    pub async fn serve(relay: &str, records: Records, place: &Place) -> Result<Self> {
        let (socket, _) = connect_async_with_config(relay, None, true).await?;
        let (mut write, mut read) = socket.split();
        let (outbox, mut outgoing) = unbounded_channel();
        let answers = match records {
            Records::None => Answers::ToRelay(outbox),
            Records::Synced => Answers::ToRecords(keep_records(place, outbox)?),
        };
        let key = TransportKey::new(&SecretKey32::take(&mut [11; 32]))?;
        let remote = key.public_key().to_hex();
        let filter = serde_json::json!({ "kinds": [24133], "#p": [remote] });
        write.send(Message::text(format!("[\"REQ\",\"barest\",{filter}]"))).await?;
        let shared = Arc::new(Shared { key, answers });
        let serving = tokio::spawn(async move {
            let reading = async {
                while let Some(Ok(first)) = read.next().await {
                    // One that is alone is answered here, more of them on all cores.
                    let mut next = read.next().now_or_never();
                    if next.is_none() {
                        shared.answer(&first);
                        continue;
                    }
                    spawn(&shared, first);
                    while let Some(Some(Ok(message))) = next {
                        spawn(&shared, message);
                        next = read.next().now_or_never();
                    }
                }
            };
            tokio::select! {
                () = reading => (),
                _ = send(&mut write, &mut outgoing) => (),
            }
        });
        Ok(Self { url: format!("bunker://{remote}?relay={relay}"), serving })
    }
}

impl Drop for Barest {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn spawn(shared: &Arc<Shared>, message: Message) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move { shared.answer(&message) });
}

/// Writes all answers that are there, and flushes once.
async fn send<S>(write: &mut S, outgoing: &mut UnboundedReceiver<Message>) -> Result<(), S::Error>
where
    S: futures_util::Sink<Message> + Unpin,
{
    while let Some(first) = outgoing.recv().await {
        write.feed(first).await?;
        while let Ok(next) = outgoing.try_recv() {
            write.feed(next).await?;
        }
        write.flush().await?;
    }
    Ok(())
}

/// Starts the thread that syncs a record for each answer and passes the answer on. It ends with the bunker.
fn keep_records(place: &Place, outbox: UnboundedSender<Message>) -> Result<mpsc::Sender<Message>> {
    let mut file = File::create(place.path("records")?)?;
    file.write_all(&vec![0; FILE])?;
    file.sync_all()?;
    let (answers, waiting) = mpsc::channel::<Message>();
    std::thread::spawn(move || -> std::io::Result<()> {
        while let Ok(first) = waiting.recv() {
            let batch: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
            let records = vec![1; RECORD * batch.len()];
            if file.stream_position()? as usize + records.len() > FILE {
                file.rewind()?;
            }
            file.write_all(&records)?;
            file.sync_data()?;
            batch.into_iter().for_each(|answer| drop(outbox.send(answer)));
        }
        Ok(())
    });
    Ok(answers)
}

impl Shared {
    /// Answers the request in a message of the relay, if it carries one.
    fn answer(&self, message: &Message) {
        let Message::Text(text) = message else { return };
        if !text.starts_with("[\"EVENT\"") {
            return;
        }
        // What is wrong with it is seen by the load, which then waits for an answer.
        let Ok(answer) = self.reply(text.as_str()) else { return };
        match &self.answers {
            Answers::ToRelay(outbox) => drop(outbox.send(answer)),
            Answers::ToRecords(records) => drop(records.send(answer)),
        }
    }

    fn reply(&self, text: &str) -> Result<Message> {
        let (_, _, event): (&str, &str, &RawValue) = serde_json::from_str(text)?;
        let event = Event::from_json(event.get())?;
        let request = envelope::open(&event, &self.key)?.verify()?;
        let call = Call::parse(request.plaintext.expose()).ok().context("no call")?;
        let reply = match call.method {
            Method::Connect(_) => Reply::ack(call.id),
            Method::GetPublicKey => Reply::public_key(call.id, self.key.public_key()),
            Method::SignEvent(template) => {
                let unsigned = template.into_unsigned(*self.key.public_key())?;
                Reply::event(call.id, &self.key.sign(unsigned, &[9; 32])?)
            }
            _ => anyhow::bail!("not asked by the load"),
        };
        let seal = Seal {
            to: request.author,
            scheme: Scheme::Nip44,
            created_at: SystemClock.now(),
            nonce: request.event_id.to_bytes(),
            aux_rand: [4; 32],
        };
        let sealed = envelope::seal(&self.key, reply.to_json().expose(), &seal)?;
        Ok(Message::text(event_json("[\"EVENT\",", &sealed, "]")))
    }
}
