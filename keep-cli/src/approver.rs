//! Asking the person at the terminal, one question at a time. Requests that need no asking go on meanwhile; what is decided
//! elsewhere (`keep approve`) goes away by itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_sdk::{
    Approvals, Attendance, DisplayText, ErrorCode, Fault, Keep, Prompt, Surface, VoteView, counted,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::output::Output;
use crate::prompt;
use crate::screen::GUARD_MS;
use crate::style::Style;
use crate::terminal::{Keys, Terminal};

/// What the person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressed {
    Approve,
    Reject,
    Quit,
    Nothing,
}

impl From<u8> for Pressed {
    fn from(key: u8) -> Self {
        match key {
            b'y' | b'Y' => Self::Approve,
            b'n' | b'N' => Self::Reject,
            b'q' | b'Q' => Self::Quit,
            _ => Self::Nothing,
        }
    }
}

/// For how long a question must have stood there before a key answers it: one that is held or bounces, and one that was pressed
/// before it could be read, was meant for something else.
const GUARD: Duration = Duration::from_millis(GUARD_MS);

/// Whether a key that was pressed at `at` answers a question that stands there `since` then.
fn is_answer(since: Option<Instant>, at: Instant) -> bool {
    since.is_some_and(|since| at.saturating_duration_since(since) >= GUARD)
}

/// A decision on its way: it may wait for the disk, and the bunker does not.
struct Deciding {
    id: String,
    vote: JoinHandle<Result<VoteView, Fault>>,
}

/// Where questions are shown and answered.
pub struct Desk {
    keep: Keep,
    queue: Arc<Approvals>,
    _attendance: Attendance,
    changes: watch::Receiver<u64>,
    presses: UnboundedReceiver<(Pressed, Instant)>,
    /// The one that is on the screen.
    shown: Option<String>,
    /// Since when.
    since: Option<Instant>,
    /// Whether something of it is left out there: then a yes shows the rest, and only the next one is the person's.
    is_cut: bool,
    /// Those that this person approved, and that wait for another one.
    voted: HashSet<String>,
    deciding: Option<Deciding>,
    keys: Keys,
    style: Style,
}

/// A desk for the questions of `queue`, which is that of `keep`, if there is a person at a terminal.
pub fn at_terminal(output: &Output, keep: &Keep, queue: &Arc<Approvals>) -> Option<Desk> {
    let keys = Terminal::open()?.keys().ok()?;
    let (press, presses) = unbounded_channel();
    keys.spawn(move |key| press.send((key.into(), Instant::now())).is_ok()).ok()?;
    let style = output.talk_style();
    Some(Desk {
        _attendance: queue.attend(),
        changes: queue.changes(),
        keep: keep.clone(),
        queue: Arc::clone(queue),
        presses,
        shown: None,
        since: None,
        is_cut: false,
        voted: HashSet::new(),
        deciding: None,
        keys,
        style,
    })
}

impl Desk {
    /// Waits for the next thing that happens here, and says whether the person wants to quit.
    pub async fn attend(&mut self, output: &Output) -> bool {
        tokio::select! {
            (id, voted) = decided(&mut self.deciding) => self.tell(id, voted, output),
            Ok(()) = self.changes.changed() => {}
            Some((pressed, at)) = self.presses.recv() => {
                if pressed == Pressed::Quit {
                    return true;
                }
                if is_answer(self.since, at) {
                    self.answer(pressed, output);
                } else if pressed != Pressed::Nothing {
                    // A key that is held, or bounces: it has to be let go first.
                    self.since = self.since.map(|since| since.max(at));
                }
            }
            else => std::future::pending().await,
        }
        self.refresh(output);
        false
    }

    /// Whether a question is on the screen, or its answer on its way.
    pub const fn is_asking(&self) -> bool {
        self.shown.is_some() || self.deciding.is_some()
    }

    /// Waits for the answer that is on its way, if one is.
    pub async fn finish(mut self, output: &Output) {
        if self.deciding.is_some() {
            let (id, voted) = decided(&mut self.deciding).await;
            self.tell(id, voted, output);
        }
    }

    /// Takes away what has been settled elsewhere, and shows the next question.
    pub fn refresh(&mut self, output: &Output) {
        if self.deciding.is_some() {
            return;
        }
        let waiting = self.queue.prompts();
        self.voted.retain(|id| waiting.iter().any(|(other, _)| other == id));
        if let Some(shown) = &self.shown {
            if waiting.iter().any(|(id, _)| id == shown) {
                return;
            }
            output.talk(&self.style.dim("  too late: that request is gone"));
            self.shown = None;
        }
        let mut open = waiting.iter().filter(|(id, _)| !self.voted.contains(id));
        let Some((id, prompt)) = open.next() else { return };
        let more = open.count();
        self.show(id, prompt, more, output);
        self.shown = Some(id.clone());
    }

    fn show(&mut self, id: &str, prompt: &Prompt, more: usize, output: &Output) {
        let more = if more == 0 { String::new() } else { format!("   {more} more waiting") };
        let (text, is_cut) = prompt::render(id, prompt, self.style);
        self.is_cut = is_cut;
        output.ask(&text);
        let keys = if is_cut {
            "[Y] show all of it  [N] reject  [Q] quit"
        } else {
            "[Y] approve  [N] reject  [Q] quit"
        };
        output.ask(&format!("  {}  {}", self.style.bold(keys), self.style.dim(&more)));
        self.stands();
    }

    /// The rest of what is on the screen, after which it can be approved.
    fn show_whole(&mut self, output: &Output) {
        let waiting = self.queue.prompts();
        let Some((id, prompt)) = waiting.iter().find(|(id, _)| self.shown.as_ref() == Some(id)) else {
            return;
        };
        self.is_cut = false;
        output.ask(&prompt::render_whole(id, prompt, self.style));
        output.ask(&format!("  {}", self.style.bold("[Y] approve  [N] reject  [Q] quit")));
        self.stands();
    }

    /// The question stands there from now on.
    fn stands(&mut self) {
        // What was typed before and waits in the terminal or in the channel was meant for something else.
        self.keys.forget_typed();
        while self.presses.try_recv().is_ok() {}
        self.since = Some(Instant::now());
    }

    fn answer(&mut self, pressed: Pressed, output: &Output) {
        let approve = match pressed {
            Pressed::Approve if self.is_cut => return self.show_whole(output),
            Pressed::Approve => true,
            Pressed::Reject => false,
            Pressed::Quit | Pressed::Nothing => return,
        };
        let Some(id) = self.shown.take() else { return };
        let (keep, meant) = (self.keep.clone(), id.clone());
        // As everywhere else: with each yes that still counts.
        let vote = spawn_blocking(move || keep.inbox().decide_at(Surface::Terminal, &meant, approve, None));
        self.deciding = Some(Deciding { id, vote });
    }

    fn tell(&mut self, id: String, voted: Result<VoteView, Fault>, output: &Output) {
        let said = match voted {
            Ok(VoteView { settled: true, approved: true, .. }) => "approved".to_owned(),
            Ok(VoteView { settled: true, approved: false, .. }) => "rejected".to_owned(),
            Ok(VoteView { settled: false, needs, .. }) => {
                self.voted.insert(id);
                format!("approved; {} must approve too", counted(needs, "more person"))
            }
            Err(fault) if fault.code() == ErrorCode::NotFound => "too late: that request is gone".to_owned(),
            // It is asked again.
            Err(fault) => format!("nothing was decided: {}", DisplayText::new(fault.message())),
        };
        output.ask(&self.style.dim(&format!("  {said}")));
    }
}

/// Waits for what came of the decision that is on its way; for ever, if none is.
async fn decided(deciding: &mut Option<Deciding>) -> (String, Result<VoteView, Fault>) {
    let Some(one) = deciding else { return std::future::pending().await };
    let voted = (&mut one.vote).await.unwrap_or_else(|_| Err(Fault::new(ErrorCode::Bug, "it was cut short")));
    let id = std::mem::take(&mut one.id);
    *deciding = None;
    (id, voted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_held_does_not_answer_the_next_question() {
        let shown = Instant::now();
        let after = |ms| shown + Duration::from_millis(ms);
        assert!(!is_answer(None, after(GUARD_MS)));
        assert!(!is_answer(Some(after(1)), shown), "pressed before");
        for ms in [0, 30, GUARD_MS - 1] {
            assert!(!is_answer(Some(shown), after(ms)), "{ms} ms after");
        }
        assert!(is_answer(Some(shown), after(GUARD_MS)));
    }
}
