//! A relay that forwards, at once or as from far away: no check, no memory. An event goes to whoever subscribed to its
//! `p` tag.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// Messages, and when they are to arrive.
type Outbox = UnboundedSender<(Instant, Message)>;

/// Who subscribed to events for a key, and under which name.
type Subscribers = Rc<RefCell<HashMap<String, Vec<(String, Outbox)>>>>;

/// Binds to a free port of loopback, and gives the address. Every message arrives `away` later. Runs on this thread,
/// while its tasks run.
pub async fn start(away: Duration) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    spawn_local(async move {
        let subscribers = Subscribers::default();
        while let Ok((stream, _)) = listener.accept().await {
            spawn_local(serve(stream, away, Rc::clone(&subscribers)));
        }
    });
    Ok(format!("ws://{address}"))
}

/// One connection, until either side ends it.
async fn serve(stream: TcpStream, away: Duration, subscribers: Subscribers) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut write, mut read) = accept_async(stream).await?.split();
    let (outbox, mut outgoing) = unbounded_channel();
    let reading = async {
        while let Some(Ok(message)) = read.next().await {
            if let Message::Text(text) = message {
                // It has been on its way here, and what it brings about will be on its way to others.
                let arrives = Instant::now() + 2 * away;
                receive(text.as_str(), arrives, &outbox, &subscribers).context("a message that is none")?;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = send(&mut write, &mut outgoing) => ended,
    }
}

/// Writes what is due, and flushes once.
async fn send<S>(write: &mut S, outgoing: &mut UnboundedReceiver<(Instant, Message)>) -> Result<()>
where
    S: Sink<Message, Error = WsError> + Unpin,
{
    while let Some((mut arrives, mut message)) = outgoing.recv().await {
        loop {
            if arrives > Instant::now() {
                write.flush().await?;
                sleep_until(arrives).await;
            }
            write.feed(message).await?;
            let Ok(next) = outgoing.try_recv() else { break };
            (arrives, message) = next;
        }
        write.flush().await?;
    }
    Ok(())
}

/// Of an event, what is needed to forward it.
#[derive(Deserialize)]
struct Addressed<'t> {
    id: &'t str,
    #[serde(borrow)]
    tags: Vec<Vec<std::borrow::Cow<'t, str>>>,
}

fn receive(text: &str, arrives: Instant, outbox: &Outbox, subscribers: &Subscribers) -> Result<()> {
    let parts: Vec<&RawValue> = serde_json::from_str(text)?;
    let part = |at: usize| parts.get(at).map(|part| part.get()).context("a part is missing");
    match part(0)? {
        r#""EVENT""# => {
            let event = part(1)?;
            let addressed: Addressed<'_> = serde_json::from_str(event)?;
            let to = addressed.tags.iter().find(|tag| tag.first().is_some_and(|name| name == "p"));
            let to = to.and_then(|tag| tag.get(1)).context("an event without a receiver")?;
            if let Some(list) = subscribers.borrow().get(to.as_ref()) {
                for (name, other) in list {
                    let _ = other.send((arrives, Message::text(format!("[\"EVENT\",{name},{event}]"))));
                }
            }
            let _ = outbox.send((arrives, Message::text(format!("[\"OK\",\"{}\",true,\"\"]", addressed.id))));
        }
        r#""REQ""# => {
            let name = part(1)?;
            let filter: serde_json::Value = serde_json::from_str(part(2)?)?;
            let keys = filter["#p"].as_array().map_or(&[][..], Vec::as_slice);
            for key in keys.iter().filter_map(serde_json::Value::as_str) {
                let mut subscribers = subscribers.borrow_mut();
                let list = subscribers.entry(key.to_owned()).or_default();
                list.retain(|(_, other)| !other.is_closed());
                list.push((name.to_owned(), outbox.clone()));
            }
            let _ = outbox.send((arrives, Message::text(format!("[\"EOSE\",{name}]"))));
        }
        // CLOSE: who is gone is forgotten with the next subscription.
        _ => {}
    }
    Ok(())
}
