//! Keeping the screen up to date, and carrying out what the person decides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_sdk::{
    Activity, Approvals, BunkerView, Clock as _, DisplayText, ErrorCode, Fault, Keep, RelayState, Serving,
    Surface, SystemClock, counted, named,
};
use ratatui_core::terminal::Terminal;
use tokio::sync::mpsc::unbounded_channel;

use super::backend::Tty;
use super::draw::draw;
use super::key::Parser;
use super::state::{Act, Entry, Mark, RelayLine, State, Tab};
use crate::ending::Ending;
use crate::output::Output;
use crate::system::Resizes;
use crate::terminal::{self, FullScreen};
use crate::watch::Signals;

/// How often relays and clients are looked after, and a lone escape counts as a key.
const LOOK: Duration = Duration::from_millis(250);
/// Looks between two at the kill switch, and at the clients where they are shown.
const OFTEN: u32 = 8;
/// Looks between two at the clients where they are not shown: with many of them it is work.
const SELDOM: u32 = 240;

/// What the screen is about.
pub struct Parts {
    pub keep: Keep,
    pub queue: Arc<Approvals>,
    pub addresses: Vec<BunkerView>,
    /// The page for approvals, and its code.
    pub page: Option<(String, String)>,
}

/// Shows the screen until the person quits or a signal comes; then stops the bunker.
pub async fn run(
    output: &Output,
    parts: Parts,
    mut serving: Serving,
    mut signals: Signals,
    device: terminal::Terminal,
) -> Result<(), Ending> {
    let broken = |error: std::io::Error| Fault::new(ErrorCode::Bug, format!("the terminal fails: {error}"));
    let full = device.full_screen().map_err(broken)?;
    let (press, mut presses) = unbounded_channel();
    // When it was pressed counts, and not when there was time to look at it.
    full.keys().spawn(move |byte| press.send((byte, Instant::now())).is_ok()).map_err(broken)?;
    let mut screen = Screen::new(parts, &full, output.talk_style().has_colour()).map_err(broken)?;
    let mut changes = screen.parts.queue.changes();
    let mut resized = Resizes::new().map_err(broken)?;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    screen.look(&serving, true).await;
    let ended = loop {
        if let Err(error) = screen.draw() {
            break Err(broken(error).into());
        }
        let act = tokio::select! {
            () = signals.received() => break Ok(()),
            Some((byte, at)) = presses.recv() => screen.press(byte, at),
            Ok(()) = changes.changed() => { screen.look_at_requests().await; None }
            happened = serving.activity() => match happened {
                Some(activity) => { screen.tell(&activity); None }
                None => break Ok(()),
            },
            () = resized.next() => Some(Act::Redraw),
            _ = look.tick() => { screen.look(&serving, false).await; screen.settle() }
        };
        match act {
            Some(Act::Quit) => break Ok(()),
            Some(act) => screen.carry_out(act).await,
            None => {}
        }
    };
    drop(screen);
    drop(full);
    output.talk("Stopping.");
    serving.stop().await?;
    ended
}

struct Screen {
    parts: Parts,
    state: State,
    terminal: Terminal<Tty>,
    parser: Parser,
    began: Instant,
    looks: u32,
    /// Whether the list of clients is to be read again.
    stale: bool,
}

impl Screen {
    fn new(parts: Parts, full: &FullScreen, colour: bool) -> std::io::Result<Self> {
        let mut state = State::new(parts.addresses.clone(), colour);
        state.page = parts.page.clone();
        let terminal = Terminal::new(Tty::new(full.device()?, colour))?;
        Ok(Self {
            parts,
            state,
            terminal,
            parser: Parser::default(),
            began: Instant::now(),
            looks: 0,
            stale: true,
        })
    }

    fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let state = &self.state;
        self.terminal.draw(|frame| draw(frame, state)).map(drop)?;
        let now = self.ms(Instant::now());
        self.state.drawn(now);
        Ok(())
    }

    /// A key that was pressed `at` that time.
    fn press(&mut self, byte: u8, at: Instant) -> Option<Act> {
        let key = self.parser.feed(byte)?;
        let at = self.ms(at);
        self.state.press(key, at)
    }

    /// An escape that nothing followed.
    fn settle(&mut self) -> Option<Act> {
        let key = self.parser.settle()?;
        let now = self.ms(Instant::now());
        self.state.press(key, now)
    }

    /// Runs what may wait for the disk beside the tasks that answer clients.
    async fn with_keep<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(Keep) -> Result<T, Fault> + Send + 'static,
    ) -> Option<T> {
        let keep = self.parts.keep.clone();
        match tokio::task::spawn_blocking(move || work(keep)).await {
            Ok(Ok(done)) => Some(done),
            Ok(Err(fault)) => {
                self.state.notice = Some(DisplayText::new(fault.message()).to_string());
                None
            }
            Err(_) => None,
        }
    }

    async fn look_at_requests(&mut self) {
        if let Some(pending) = self.with_keep(|keep| keep.inbox().pending()).await {
            self.state.take_pending(pending);
        }
    }

    async fn look(&mut self, serving: &Serving, all: bool) {
        self.state.relays = serving.relays().iter().map(relay_line).collect();
        for line in terminal::held_lines() {
            self.note(Mark::Warning, line);
        }
        self.looks = self.looks.wrapping_add(1);
        let every = if self.state.tab == Tab::Clients { OFTEN } else { SELDOM };
        let is_stale = std::mem::take(&mut self.stale) || self.looks.is_multiple_of(every);
        if is_stale && let Some(apps) = self.with_keep(|keep| keep.nip46().apps()).await {
            self.state.app = self.state.app.min(apps.len().saturating_sub(1));
            self.state.apps = apps;
        }
        let is_due = all || self.looks.is_multiple_of(OFTEN);
        if is_due && let Some(view) = self.with_keep(|keep| keep.nip46().is_stopped()).await {
            self.state.stopped = view.stopped;
        }
        // What ran out goes away although nobody decided it.
        if !self.state.pending.is_empty() || all {
            self.look_at_requests().await;
        }
    }

    async fn carry_out(&mut self, act: Act) {
        match act {
            Act::Decide { id, approve, lasting } => {
                let voted = self
                    .with_keep(move |keep| keep.inbox().decide_at(Surface::Screen, &id, approve, lasting))
                    .await;
                if let Some(vote) = voted {
                    self.state.notice = Some(match (vote.settled, vote.approved) {
                        (true, true) => "approved".to_owned(),
                        (true, false) => "denied".to_owned(),
                        (false, _) => format!("noted; it takes {}", counted(vote.needs, "more person")),
                    });
                }
                self.look_at_requests().await;
            }
            Act::ShowAll { id } => {
                if let Some(whole) = self.with_keep(move |keep| keep.inbox().show(&id)).await {
                    self.state.take_whole(whole);
                }
            }
            Act::Stop(stopped) => {
                if let Some(view) = self.with_keep(move |keep| keep.nip46().stop(stopped)).await {
                    self.state.stopped = view.stopped;
                    let what =
                        if view.stopped { "no client is answered" } else { "clients are answered again" };
                    self.note(Mark::News, what.to_owned());
                }
            }
            Act::Revoke { client, shown } => {
                if self.with_keep(move |keep| keep.nip46().revoke(&client)).await.is_some() {
                    self.note(Mark::News, format!("{shown} was disconnected"));
                    self.stale = true;
                }
            }
            // What else wrote to the terminal is wiped away.
            Act::Redraw => {
                let _ = self.terminal.clear();
            }
            Act::Quit => {}
        }
    }

    fn note(&mut self, mark: Mark, text: String) {
        let time = SystemClock.now().to_string().get(11..19).unwrap_or_default().to_owned();
        self.state.tell(Entry { time, mark, text });
    }

    fn tell(&mut self, activity: &Activity) {
        let short = |client: &keep_sdk::PublicKey| named(&DisplayText::default(), &client.to_string());
        let (mark, text) = match activity {
            Activity::Connected { client, claims } => {
                (Mark::News, format!("{} connected", named(claims, &client.to_string())))
            }
            Activity::LoggedOut { client } => (Mark::News, format!("{} logged out", short(client))),
            Activity::Answered { client, method, kind } => {
                let of_kind = kind.map(|kind| format!(" of kind {kind}")).unwrap_or_default();
                (Mark::Good, format!("{method}{of_kind} for {}", short(client)))
            }
            Activity::Refused { client, method, reason } => {
                (Mark::Bad, format!("{method} for {}: {reason}", short(client)))
            }
            Activity::Resumed { requests } => {
                (Mark::News, format!("took up {} again", counted(*requests, "open request")))
            }
            Activity::Trouble { what } => (Mark::Warning, what.to_string()),
        };
        if matches!(activity, Activity::Connected { .. } | Activity::LoggedOut { .. }) {
            self.stale = true;
        }
        self.note(mark, text);
    }
}

fn relay_line(status: &keep_sdk::RelayStatus) -> RelayLine {
    let state = match &status.state {
        RelayState::Connected => "connected".to_owned(),
        RelayState::Connecting => "connecting".to_owned(),
        RelayState::AuthRequired => "does not accept our authentication".to_owned(),
        RelayState::Failed { reason } => format!("{reason}; it is tried again by itself"),
    };
    let counts =
        format!("{}, connected {}", counted(status.received, "event"), counted(status.connections, "time"));
    RelayLine {
        relay: DisplayText::new(status.relay.as_str()).to_string(),
        connected: status.state == RelayState::Connected,
        state: format!("{state}   {counts}"),
    }
}
