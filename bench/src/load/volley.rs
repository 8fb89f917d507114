//! A client that has made all of its requests before the first leaves, and checks the answers after the last came.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{CallId, Outcome as Said, Reply, write_call};
use keep_nip46::{BunkerUri, TransportKey};
use keep_types::{Clock as _, Event, PublicKey, Scheme, SecretKey32, SystemClock};
use nostr::JsonUtil as _;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::Outcome;
use crate::measure::{median, percentile};

/// The client's secret: a bunker's URL is good for one client, which comes back for every volley.
const CLIENT: [u8; 32] = [42; 32];
const SUBSCRIPTION: &str = "volley";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Volley {
    wire: Wire,
    client: TransportKey,
    requests: Vec<(String, Message)>,
}

impl Volley {
    /// Connects to the bunker at `url`, and makes `count` requests.
    pub async fn load(url: &str, count: usize) -> Result<Self> {
        let uri = BunkerUri::parse(url)?;
        let client = TransportKey::new(&SecretKey32::take(&mut CLIENT.clone()))?;
        let mut wire = Wire::open(&uri, &client).await?;
        let remote = uri.remote().to_hex();
        // No two volleys have a number in common.
        let first = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        let seal = |number, method, params: &[&str]| seal(&client, *uri.remote(), number, method, params);
        wire.feed(seal(first, "connect", &[&remote, uri.secret().unwrap_or_default()])?.1).await?;
        wire.answers(&client).await?.iter().try_for_each(|answer| answer.result().map(drop))?;
        wire.feed(seal(first + 1, "get_public_key", &[])?.1).await?;
        let answer = wire.answers(&client).await?.pop().context("no answer")?;
        let author = answer.result()?;
        let requests = (first + 2..).take(count).enumerate().map(|(at, number)| {
            let template = format!(
                r#"{{"pubkey":"{author}","kind":1,"content":"{}","tags":[["t","keep"]],"created_at":{}}}"#,
                "x".repeat(300),
                1_700_000_000 + at
            );
            seal(number, "sign_event", &[&template])
        });
        let requests = requests.collect::<Result<_>>()?;
        Ok(Self { wire, client, requests })
    }

    /// Sends all requests, at most `in_flight` without an answer at any time.
    pub async fn fire(mut self, in_flight: usize) -> Result<Outcome> {
        let count = self.requests.len();
        let mut left = HashMap::new();
        let (mut times, mut answers) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let begin = Instant::now();
        for _ in 0..in_flight {
            self.send_next(&mut left).await?;
        }
        while answers.len() < count {
            for answer in self.wire.answers(&self.client).await? {
                let asked: Instant =
                    left.remove(&answer.said.id.to_text()).context("an answer to nothing")?;
                times.push(asked.elapsed());
                answers.push(answer);
                self.send_next(&mut left).await?;
            }
        }
        let whole = begin.elapsed();
        answers.iter().try_for_each(Answered::check)?;
        let each = whole / u32::try_from(count)?;
        let nanos = |time: Duration| u64::try_from(time.as_nanos());
        let (p99, p50) = (percentile(times.clone(), 99), median(times));
        Ok(Outcome { each: nanos(each)?, p50: nanos(p50)?, p99: nanos(p99)? })
    }

    async fn send_next(&mut self, left: &mut HashMap<String, Instant>) -> Result<()> {
        if let Some((id, message)) = self.requests.pop() {
            left.insert(id, Instant::now());
            self.wire.feed(message).await?;
        }
        Ok(())
    }
}

/// A request's id as it comes back, and its event for the relay.
fn seal(
    client: &TransportKey,
    to: PublicKey,
    number: u128,
    method: &str,
    params: &[&str],
) -> Result<(String, Message)> {
    let id = CallId::from_random(&number.to_be_bytes());
    let mut nonce = [0; 32];
    nonce[..16].copy_from_slice(&number.to_be_bytes());
    let created_at = SystemClock.now();
    let seal = Seal { to, scheme: Scheme::Nip44, created_at, nonce, aux_rand: [4; 32] };
    let event = envelope::seal(client, write_call(&id, method, params).expose(), &seal)?;
    Ok((id.to_text(), Message::text(format!("[\"EVENT\",{}]", event.as_json()))))
}

/// What a bunker said, and the event that carried it.
struct Answered {
    said: Reply,
    event: Event,
}

impl Answered {
    /// Envelope and signed event must both be what they claim to be.
    fn check(&self) -> Result<()> {
        envelope::verify(&self.event)?;
        Ok(Event::from_json(self.result()?)?.verify()?)
    }

    fn result(&self) -> Result<&str> {
        match &self.said.outcome {
            Said::Success(result) => Ok(result.expose()),
            Said::Failure(error) => bail!("the bunker refused: {error}"),
            Said::Challenge(_) => bail!("the bunker asks its owner"),
        }
    }
}

/// The client's connection to the relay.
struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Wire {
    async fn open(uri: &BunkerUri, client: &TransportKey) -> Result<Self> {
        let relay = uri.relays().first().context("a bunker without a relay")?;
        let (mut socket, _) = connect_async_with_config(relay.as_str(), None, true).await?;
        let filter = serde_json::json!({ "kinds": [24133], "#p": [client.public_key().to_hex()] });
        socket.send(Message::text(format!("[\"REQ\",\"{SUBSCRIPTION}\",{filter}]"))).await?;
        Ok(Self { socket })
    }

    /// Written with the next flush.
    async fn feed(&mut self, message: Message) -> Result<()> {
        Ok(self.socket.feed(message).await?)
    }

    /// Writes what was fed, waits for an answer, and takes what else has come with it.
    async fn answers(&mut self, client: &TransportKey) -> Result<Vec<Answered>> {
        self.socket.flush().await?;
        let mut answers = Vec::new();
        while answers.is_empty() {
            let first = timeout(PATIENCE, self.socket.next()).await;
            let mut next = Some(first.context("the bunker does not answer")?);
            while let Some(message) = next {
                let Message::Text(text) = message.context("the relay is gone")?? else { bail!("no text") };
                answers.extend(read(text.as_str(), client)?);
                next = self.socket.next().now_or_never();
            }
        }
        Ok(answers)
    }
}

/// The answer in a message of the relay, if it carries one.
fn read(text: &str, client: &TransportKey) -> Result<Option<Answered>> {
    if !text.starts_with("[\"EVENT\"") {
        return Ok(None);
    }
    let (_, _, event): (&str, &str, &RawValue) = serde_json::from_str(text)?;
    let event = Event::from_json(event.get())?;
    let received = envelope::open(&event, client)?.assume_verified();
    let said = Reply::parse(received.plaintext.expose())?;
    Ok(Some(Answered { said, event }))
}
