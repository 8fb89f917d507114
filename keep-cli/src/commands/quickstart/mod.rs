//! `keep quickstart`: everything once, for real, without a network.

mod place;
mod steps;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keep_sdk::daemon::{Daemon, DaemonOptions, Opening};
use keep_sdk::{
    Builtin, Bunker, BunkerOptions, BunkerUri, BunkerView, Clock, EmbeddedRelay, ErrorCode, Event,
    EventTemplate, Fault, Headless, InboxLimits, Keep, KeyView, Limits, Offer, PoolOptions, RelayOptions,
    RelayPolicy, RelayPool, RelayUrl, RemoteSigner, Serving, SystemClock,
};
use tokio::time::timeout;

use self::place::Place;
use self::steps::Steps;
use super::serve::{self, Asking};
use crate::args::Quickstart;
use crate::ending::Ending;
use crate::key_view::short;
use crate::session::{Session, name};
use crate::watch::{Signals, Watch};

/// What the note says.
const CONTENT: &str = "Hello from Keep.";
/// The key that is made when there is none.
const KEY: &str = "main";
/// How long the client of the round trip may ask, and how often.
const PROBE: (Duration, u64) = (Duration::from_secs(300), 8);

pub fn run(session: &Session, arguments: &Quickstart) -> Result<(), Ending> {
    let runtime = serve::runtime()?;
    let signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    let steps = Steps::new(&session.output);
    let place = Place::choose(session, arguments.ephemeral)?;
    let (keep, opening) = place.open(session, &arguments.kdf, &steps, arguments.check)?;
    let key = key(session, &keep, &steps)?;
    let mut asking = serve::approver(&session.output, &keep, arguments.check, true)?;
    if place.is_thrown_away() && asking.desk.is_none() {
        // Nobody else has the passphrase of such a vault: what it asks about could only wait.
        asking = serve::approver(&session.output, &keep, true, true)?;
    }
    let daemon = match arguments.check || place.is_thrown_away() {
        true => None,
        false => Some(serve::share(&keep, sharing(session, opening, &asking)?, &signals)?),
    };
    let mut tour =
        Tour { session, place: &place, keep: &keep, key: &key, steps, relay: None, offers: Vec::new() };
    let outcome = runtime.block_on(tour.go(arguments.check, asking, signals));
    let cleared = tour.clear();
    let farewell = daemon.map(Daemon::stop);
    drop(keep);
    drop(farewell);
    outcome.and(cleared.map_err(Ending::from))
}

/// How other commands may use the vault meanwhile.
fn sharing(session: &Session, opening: Option<Opening>, asking: &Asking) -> Result<DaemonOptions, Fault> {
    let confirm = session.config()?.confirm.value;
    let approver = Some(Arc::clone(&asking.approver));
    Ok(DaemonOptions { serving: true, confirm, opening, approver, ..DaemonOptions::default() })
}

/// The key that `--key` names, else `main`, else the only one; in a vault without keys, a new one.
fn key(session: &Session, keep: &Keep, steps: &Steps<'_>) -> Result<KeyView, Ending> {
    let clock = steps.clock();
    let (keys, list) = (keep.keys(), keep.keys().list()?);
    let (key, how) = if session.key_name().is_none() && list.is_empty() {
        (keys.generate(name(KEY)?)?, "new")
    } else if session.key_name().is_none() && list.iter().any(|key| key.name == KEY) {
        (keys.find(Some(KEY))?, "there already")
    } else {
        (session.key(keep)?, "there already")
    };
    clock.done("key", &format!("{}, {}, {how}", key.name, short(&key.npub)));
    Ok(key)
}

struct Tour<'a> {
    session: &'a Session,
    place: &'a Place,
    keep: &'a Keep,
    key: &'a KeyView,
    steps: Steps<'a>,
    /// The relay, which ends with this command, and so do all addresses there.
    relay: Option<RelayUrl>,
    /// The addresses that were made here.
    offers: Vec<String>,
}

impl Tour<'_> {
    async fn go(&mut self, check: bool, asking: Asking, mut signals: Signals) -> Result<(), Ending> {
        let output = &self.session.output;
        let clock = self.steps.clock();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let relay = EmbeddedRelay::bind(address, RelayOptions::default()).await.map_err(Fault::from)?;
        clock.done("relay", &format!("{}, on this machine only", relay.url()));
        self.relay = Some(relay.url().clone());

        let clock = self.steps.clock();
        let Asking { approver, desk, attendance: _attendance } = asking;
        let bunker = self.keep.bunker(approver);
        let until = SystemClock.now().plus(PROBE.0);
        let probe = Limits { expires: Some(until), uses: Some(PROBE.1), ..Limits::default() };
        let probe = self.offer(&bunker, &relay, probe)?;
        let offer = self.offer(&bunker, &relay, Limits::default())?;
        let transport = Arc::new(relay.local(InboxLimits::default()));
        let mut serving = bunker.serve_over(self.key, transport, BunkerOptions::default()).await?;
        clock.done("bunker", &format!("listens there, policy {}", offer.policy));

        let event = tokio::select! {
            event = self.round_trip(&relay, &probe) => event?,
            () = signals.received() => return Ok(serving.stop().await?),
        };
        if check || output.is_json() {
            output.value(&event)?;
        }
        if check {
            return Ok(serving.stop().await?);
        }
        // What the round trip did was told above.
        while let Ok(Some(_)) = timeout(Duration::ZERO, serving.activity()).await {}
        self.serve(serving, &offer, desk, signals).await
    }

    fn offer(&mut self, bunker: &Bunker, relay: &EmbeddedRelay, limits: Limits) -> Result<BunkerView, Fault> {
        let offer = Offer { relays: vec![relay.url().clone()], policy: Builtin::Social.policy(), limits };
        let view = bunker.offer(self.key, &offer)?;
        self.offers.push(view.bunker_url.clone());
        Ok(view)
    }

    /// An application as it would do it: over a websocket to the relay, knowing nothing but the address.
    async fn round_trip(&self, relay: &EmbeddedRelay, offer: &BunkerView) -> Result<Event, Fault> {
        let clock = self.steps.clock();
        let pool = RelayPool::new(PoolOptions::default())?;
        pool.add(relay.url().clone(), RelayPolicy::OWNER);
        let uri = BunkerUri::parse(&offer.bunker_url)?;
        let client = RemoteSigner::connect(&uri, Arc::new(pool), "keep quickstart").await?;
        clock.done("client", "connected through the relay, with a one-time secret");

        let clock = self.steps.clock();
        let template = EventTemplate::new(1, CONTENT, Vec::new(), SystemClock.now().as_secs());
        let event = client.sign_event(template).await?;
        clock.done("signed", &format!("a note, \"{CONTENT}\", {}", short(&event.id.to_string())));

        let clock = self.steps.clock();
        event.verify().map_err(|_| Fault::new(ErrorCode::Bug, "the signed event does not verify"))?;
        clock.done("verified", "its id, and its signature (BIP-340) by the key above");

        let clock = self.steps.clock();
        let id = event.id.to_string();
        let entries = self.keep.audit().list(16)?;
        let entry = entries.iter().find(|entry| entry.subject.as_deref() == Some(&id));
        let entry =
            entry.ok_or_else(|| Fault::new(ErrorCode::Bug, "the signature is not in the audit log"))?;
        clock.done(
            "recorded",
            &format!("entry {} of the audit log: {}, {}", entry.seq, entry.action, entry.outcome),
        );
        Ok(event)
    }

    async fn serve(
        &self,
        serving: Serving,
        offer: &BunkerView,
        desk: Option<crate::approver::Desk>,
        signals: Signals,
    ) -> Result<(), Ending> {
        let output = &self.session.output;
        output.talk("\nNow an application of yours, on this machine. Paste this address, or scan it:");
        serve::show(offer, output)?;
        let style = output.talk_style();
        output.talk(match (desk.is_some(), self.place.is_thrown_away()) {
            (true, _) => {
                "You are asked about what the policy does not cover: Y approves, N rejects, Q quits."
            }
            (false, true) => "What the policy does not cover is refused.",
            (false, false) => "What the policy does not cover waits for `keep approve`; see `keep pending`.",
        });
        output.talk(&self.place.farewell());
        output.talk(&format!("{}\n", style.dim(self.place.next())));
        let mut watch = Watch::new(output, desk);
        watch.knows(&serving.relays());
        watch.until_stopped(serving, signals).await
    }

    fn clear(&self) -> Result<(), Fault> {
        if self.place.is_thrown_away() {
            return Ok(());
        }
        let bunker = self.keep.bunker(Arc::new(Headless));
        let withdrawn = self.offers.iter().try_for_each(|offer| bunker.withdraw(offer));
        let relay = [self.relay.as_ref().map(ToString::to_string).unwrap_or_default()];
        let nip46 = self.keep.nip46();
        let mut tokens = nip46.tokens()?;
        // What other commands made meanwhile.
        tokens.retain(|token| token.relays == relay);
        let revoked = tokens.iter().try_for_each(|token| nip46.revoke_token(&token.id));
        withdrawn.and(revoked)
    }
}
