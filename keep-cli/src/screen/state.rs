//! What the screen shows, and what keys do to it. Nothing here draws or decides by itself.

use std::cell::Cell;
use std::collections::VecDeque;

use keep_sdk::{AppView, Breadth, BunkerView, Lasting, PendingView};

use super::key::Key;

/// Lines of the log that are kept.
const MAX_LOG: usize = 500;
/// A request that just came under the person's eyes is not decided by a key that was pressed before it was read, in
/// milliseconds.
pub const GUARD_MS: u64 = 300;
/// Lines that a page scrolls at most.
const PAGE: usize = 8;

const MINUTES_5: u64 = 300;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// The parts of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Requests,
    Activity,
    Clients,
    Relays,
    Address,
}

impl Tab {
    pub const ALL: [Self; 5] = [Self::Requests, Self::Activity, Self::Clients, Self::Relays, Self::Address];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Requests => "Requests",
            Self::Activity => "Activity",
            Self::Clients => "Clients",
            Self::Relays => "Relays",
            Self::Address => "Address",
        }
    }

    fn beside(self, step: usize) -> Self {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or_default();
        Self::ALL[(at + step) % Self::ALL.len()]
    }
}

/// How a line of the log is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Good,
    Bad,
    News,
    Warning,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub time: String,
    pub mark: Mark,
    pub text: String,
}

/// A relay and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayLine {
    pub relay: String,
    pub connected: bool,
    pub state: String,
}

/// How much of a request has been on the screen. Rows that were never there are not passed by.
#[derive(Debug)]
pub struct Seen {
    /// Rows from the first on, at this width.
    rows: Cell<usize>,
    width: Cell<u16>,
    all: Cell<bool>,
}

impl Seen {
    const fn new() -> Self {
        Self { rows: Cell::new(0), width: Cell::new(0), all: Cell::new(false) }
    }

    /// The rows from `first` up to `end` (exclusive) of `total` stand on a screen of this width.
    pub fn drawn(&self, width: u16, first: usize, end: usize, total: usize) {
        // At another width the same text has other rows.
        if self.width.replace(width) != width {
            self.rows.set(0);
        }
        if first <= self.rows.get() {
            self.rows.set(self.rows.get().max(end));
        }
        if self.rows.get() >= total {
            self.all.set(true);
        }
    }
}

/// What the person wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Everything that the request says is to be shown.
    ShowAll {
        id: String,
    },
    Decide {
        id: String,
        approve: bool,
        lasting: Option<Lasting>,
    },
    /// The kill switch.
    Stop(bool),
    Revoke {
        client: String,
        shown: String,
    },
    Redraw,
    Quit,
}

/// A question before something that is hard to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    pub question: String,
    pub act: Act,
    /// Since when it is on the screen, in milliseconds.
    since: Option<u64>,
}

impl Confirm {
    const fn new(question: String, act: Act) -> Self {
        Self { question, act, since: None }
    }
}

/// Everything that is on the screen.
#[derive(Debug)]
pub struct State {
    pub tab: Tab,
    pub pending: Vec<PendingView>,
    /// The request that is shown.
    pub shown: Option<String>,
    /// The same with all of its texts, once the person wanted to see all of it.
    whole: Option<PendingView>,
    /// Since when it is on the screen, in milliseconds; not before it was drawn.
    shown_since: Option<u64>,
    /// Since when every row of it has been on the screen.
    read_since: Option<u64>,
    /// How much of it was.
    pub seen: Seen,
    /// Lines that are scrolled away above.
    pub scroll: usize,
    /// How many can be; known once it is drawn.
    pub deepest: Cell<usize>,
    /// How many are on the screen at a time; known once it is drawn.
    pub window: Cell<usize>,
    /// For what else a lasting decision holds.
    pub breadth: Breadth,
    pub log: VecDeque<Entry>,
    pub apps: Vec<AppView>,
    pub app: usize,
    pub relays: Vec<RelayLine>,
    pub addresses: Vec<BunkerView>,
    pub address: usize,
    /// The page for approvals, and its code.
    pub page: Option<(String, String)>,
    /// Whether the kill switch is thrown.
    pub stopped: bool,
    pub confirm: Option<Confirm>,
    pub notice: Option<String>,
    pub colour: bool,
}

impl State {
    pub const fn new(addresses: Vec<BunkerView>, colour: bool) -> Self {
        Self {
            tab: Tab::Requests,
            pending: Vec::new(),
            shown: None,
            whole: None,
            shown_since: None,
            read_since: None,
            seen: Seen::new(),
            scroll: 0,
            deepest: Cell::new(usize::MAX),
            window: Cell::new(PAGE),
            breadth: Breadth::Kind,
            log: VecDeque::new(),
            apps: Vec::new(),
            app: 0,
            relays: Vec::new(),
            addresses,
            address: 0,
            page: None,
            stopped: false,
            confirm: None,
            notice: None,
            colour,
        }
    }

    /// What waits now. What the person is reading stays where it is.
    pub fn take_pending(&mut self, pending: Vec<PendingView>) {
        let at = self.at().unwrap_or_default();
        self.pending = pending;
        if self.at().is_none() {
            let next = self.pending.get(at).or_else(|| self.pending.last()).map(|one| one.id.clone());
            if self.shown.is_some() && next.as_ref() != self.shown.as_ref() {
                // A question about one that is gone is no question about the next.
                self.confirm =
                    self.confirm.take().filter(|confirm| !matches!(confirm.act, Act::Decide { .. }));
            }
            self.show(next);
        }
    }

    /// What there is in this part stands on the screen, since `now_ms`.
    pub fn drawn(&mut self, now_ms: u64) {
        if self.tab == Tab::Requests {
            self.shown_since.get_or_insert(now_ms);
            if self.seen.all.get() && !self.is_cut() {
                self.read_since.get_or_insert(now_ms);
            }
        }
        if let Some(confirm) = &mut self.confirm {
            confirm.since.get_or_insert(now_ms);
        }
    }

    pub fn tell(&mut self, entry: Entry) {
        self.log.push_back(entry);
        if self.log.len() > MAX_LOG {
            self.log.pop_front();
        }
    }

    /// Where the request is that is shown.
    pub fn at(&self) -> Option<usize> {
        let shown = self.shown.as_ref()?;
        self.pending.iter().position(|one| one.id == *shown)
    }

    fn show(&mut self, id: Option<String>) {
        self.shown = id;
        self.whole = None;
        self.shown_since = None;
        self.unread();
    }

    fn unread(&mut self) {
        self.read_since = None;
        self.seen = Seen::new();
        self.scroll = 0;
    }

    /// The request that is shown, with as much of it as there is to see.
    pub fn reading(&self) -> Option<&PendingView> {
        let at = self.at()?;
        Some(self.whole.as_ref().unwrap_or(&self.pending[at]))
    }

    /// Whether some of the request that is shown is left out.
    pub fn is_cut(&self) -> bool {
        self.reading().is_some_and(|pending| pending.not_shown > 0)
    }

    /// All that the request says, which was asked for.
    pub fn take_whole(&mut self, whole: PendingView) {
        if self.shown.as_ref() == Some(&whole.id) {
            self.whole = Some(whole);
            self.unread();
        }
    }

    /// What a key does that was pressed at `at_ms`, however much later that is looked at.
    pub fn press(&mut self, key: Key, at_ms: u64) -> Option<Act> {
        self.notice = None;
        // A yes from before the question stood there long enough to be read approves nothing.
        let unseen = |confirm: &Confirm| {
            matches!(confirm.act, Act::Decide { .. })
                && confirm.since.is_none_or(|since| at_ms < since + GUARD_MS)
        };
        if key == Key::Char('y') && self.confirm.as_ref().is_some_and(unseen) {
            // A key that is held has to be let go first.
            if let Some(confirm) = &mut self.confirm {
                confirm.since = confirm.since.map(|since| since.max(at_ms));
            }
            return None;
        }
        if let Some(confirm) = self.confirm.take() {
            return match key {
                Key::Char('y') => Some(confirm.act),
                Key::Interrupt => Some(Act::Quit),
                _ => {
                    self.notice = Some("nothing was done".to_owned());
                    None
                }
            };
        }
        match key {
            Key::Interrupt | Key::Char('q') => return Some(Act::Quit),
            Key::Redraw => return Some(Act::Redraw),
            Key::Tab | Key::Right => self.tab = self.tab.beside(1),
            Key::BackTab | Key::Left => self.tab = self.tab.beside(Tab::ALL.len() - 1),
            Key::Char('k') => return self.kill_switch(),
            key => {
                return match self.tab {
                    Tab::Requests => self.press_request(key, at_ms),
                    Tab::Clients => self.press_client(key),
                    Tab::Address => {
                        self.step_address(key);
                        None
                    }
                    Tab::Activity | Tab::Relays => {
                        self.step_scroll(key);
                        None
                    }
                };
            }
        }
        self.scroll = 0;
        None
    }

    fn kill_switch(&mut self) -> Option<Act> {
        let question = if self.stopped {
            "Answer all clients again? [Y] yes  [N] no"
        } else {
            "Stop answering every client? [Y] yes  [N] no"
        };
        self.confirm = Some(Confirm::new(question.to_owned(), Act::Stop(!self.stopped)));
        None
    }

    fn press_request(&mut self, key: Key, at_ms: u64) -> Option<Act> {
        match key {
            Key::Up | Key::Down => self.step_request(key == Key::Down),
            Key::Char('w') => {
                self.breadth = match self.breadth {
                    Breadth::Kind => Breadth::Client,
                    Breadth::Client => Breadth::Kind,
                };
            }
            Key::Char('y') => return self.decide(true, None, at_ms),
            Key::Char('5') => return self.decide(true, Some(Some(MINUTES_5)), at_ms),
            Key::Char('h') => return self.decide(true, Some(Some(HOUR)), at_ms),
            Key::Char('d') => return self.decide(true, Some(Some(DAY)), at_ms),
            Key::Char('a') => return self.decide(true, Some(None), at_ms),
            Key::Char('n') => return self.decide(false, None, at_ms),
            Key::Char('x') => return self.decide(false, Some(None), at_ms),
            key => self.step_scroll(key),
        }
        None
    }

    fn step_request(&mut self, down: bool) {
        let Some(at) = self.at() else { return };
        let next = if down { (at + 1).min(self.pending.len() - 1) } else { at.saturating_sub(1) };
        if next != at {
            let id = self.pending[next].id.clone();
            self.show(Some(id));
        }
    }

    fn step_scroll(&mut self, key: Key) {
        self.scroll = self.scroll.min(self.deepest.get());
        match key {
            Key::PageDown | Key::Char(' ') => self.scroll = self.scroll.saturating_add(self.page()),
            Key::PageUp => self.scroll = self.scroll.saturating_sub(self.page()),
            Key::Home => self.scroll = 0,
            Key::Down => self.scroll = self.scroll.saturating_add(1),
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            _ => {}
        }
    }

    /// No more than fits on the screen: a page passes no row by.
    fn page(&self) -> usize {
        PAGE.min(self.window.get()).max(1)
    }

    /// A yes to what was not read is none. Says what is missing, and goes on to it.
    fn expect_read(&mut self, at_ms: u64) -> Result<(), Option<Act>> {
        if self.is_cut() {
            return Err(self.shown.clone().map(|id| Act::ShowAll { id }));
        }
        let Some(since) = self.read_since else {
            self.notice = Some("there is more of this request: read it to its end, then decide".to_owned());
            self.scroll = self.seen.rows.get();
            return Err(None);
        };
        if at_ms < since + GUARD_MS {
            self.notice =
                Some("the end of this request has only just appeared; read it, then decide".to_owned());
            self.read_since = Some(since.max(at_ms));
            return Err(None);
        }
        Ok(())
    }

    /// `lasting` is for how many seconds a decision holds, where it holds for longer than once; without a number for always.
    fn decide(&mut self, approve: bool, lasting: Option<Option<u64>>, at_ms: u64) -> Option<Act> {
        let at = self.at()?;
        if self.shown_since.is_none_or(|since| at_ms < since + GUARD_MS) {
            self.notice = Some("this request has only just appeared; read it, then decide".to_owned());
            // A key that is held has to be let go first.
            self.shown_since = self.shown_since.map(|since| since.max(at_ms));
            return None;
        }
        if approve && let Err(instead) = self.expect_read(at_ms) {
            return instead;
        }
        let pending = &self.pending[at];
        let lasting = lasting.map(|seconds| Lasting { breadth: self.breadth, seconds });
        let act = Act::Decide { id: pending.id.clone(), approve, lasting };
        let whole = lasting.is_some_and(|lasting| lasting.breadth == Breadth::Client);
        if approve && whole {
            let question =
                format!("Allow everything that {} asks, whatever it is? [Y] yes  [N] no", pending.asker);
            self.confirm = Some(Confirm::new(question, act));
            return None;
        }
        Some(act)
    }

    fn press_client(&mut self, key: Key) -> Option<Act> {
        match key {
            Key::Down => self.app = (self.app + 1).min(self.apps.len().saturating_sub(1)),
            Key::Up => self.app = self.app.saturating_sub(1),
            Key::Char('r') => {
                let app = self.apps.get(self.app)?;
                let shown = super::draw::app_name(app);
                let act = Act::Revoke { client: app.client.clone(), shown: shown.clone() };
                let question = format!("Disconnect {shown}, also for what waits? [Y] yes  [N] no");
                self.confirm = Some(Confirm::new(question, act));
            }
            _ => {}
        }
        None
    }

    fn step_address(&mut self, key: Key) {
        match key {
            Key::Down => self.address = (self.address + 1).min(self.addresses.len().saturating_sub(1)),
            Key::Up => self.address = self.address.saturating_sub(1),
            _ => {}
        }
    }
}
