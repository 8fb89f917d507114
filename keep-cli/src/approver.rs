//! Asking the person at the terminal, one question at a time. Requests that need no asking go on meanwhile.

use std::collections::VecDeque;

use keep_sdk::{Approver, Decision, Prompt, Reply};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::output::Output;
use crate::prompt;
use crate::style::Style;
use crate::terminal::{Keys, Terminal};

/// Hands questions over to a [`Desk`]. How many may wait is bounded by the bunker itself.
pub struct AtTerminal(UnboundedSender<Question>);

/// A request that waits for the person.
pub struct Question {
    prompt: Prompt,
    reply: Reply,
}

impl Approver for AtTerminal {
    fn available(&self) -> bool {
        !self.0.is_closed()
    }

    fn ask(&self, prompt: Prompt, reply: Reply) {
        // If the desk has closed, the reply is dropped with the question: nobody could be asked.
        let _ = self.0.send(Question { prompt, reply });
    }
}

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

/// Where questions are shown and answered.
pub struct Desk {
    questions: UnboundedReceiver<Question>,
    presses: UnboundedReceiver<Pressed>,
    waiting: VecDeque<Question>,
    /// Whether the first one that waits is on the screen.
    shown: bool,
    keys: Keys,
    style: Style,
}

/// An approver and its desk, if there is a person at a terminal.
pub fn at_terminal(output: &Output) -> Option<(AtTerminal, Desk)> {
    let keys = Terminal::open()?.keys().ok()?;
    let (ask, questions) = unbounded_channel();
    let (press, presses) = unbounded_channel();
    keys.spawn(move |key| press.send(key.into()).is_ok()).ok()?;
    let style = output.talk_style();
    Some((AtTerminal(ask), Desk { questions, presses, waiting: VecDeque::new(), shown: false, keys, style }))
}

impl Desk {
    /// Waits for the next thing that happens here, and says whether the person wants to quit.
    pub async fn attend(&mut self, output: &Output) -> bool {
        tokio::select! {
            Some(question) = self.questions.recv() => self.waiting.push_back(question),
            Some(pressed) = self.presses.recv() => {
                if pressed == Pressed::Quit {
                    return true;
                }
                self.answer(pressed, output);
            }
            else => std::future::pending().await,
        }
        self.refresh(output);
        false
    }

    /// Whether a question is on the screen.
    pub const fn is_asking(&self) -> bool {
        self.shown
    }

    /// Takes away what has been settled elsewhere, and shows the next question.
    pub fn refresh(&mut self, output: &Output) {
        if self.shown && self.waiting.front().is_some_and(|question| question.reply.is_moot()) {
            output.talk(&self.style.dim("  too late: that request is gone"));
            self.shown = false;
        }
        self.waiting.retain(|question| !question.reply.is_moot());
        let Some(question) = self.waiting.front() else { return };
        if self.shown {
            return;
        }
        let more = match self.waiting.len() - 1 {
            0 => String::new(),
            more => format!("   {more} more waiting"),
        };
        output.ask(&prompt::render(&question.prompt, self.style));
        output.ask(&format!(
            "  {}  {}",
            self.style.bold("[Y] approve  [N] reject  [Q] quit"),
            self.style.dim(&more)
        ));
        self.shown = true;
        // A key that was pressed before the question was there does not answer it.
        self.keys.forget_typed();
        while self.presses.try_recv().is_ok() {}
    }

    fn answer(&mut self, pressed: Pressed, output: &Output) {
        let decision = match pressed {
            Pressed::Approve => Decision::Approve,
            Pressed::Reject => Decision::Decline,
            Pressed::Quit | Pressed::Nothing => return,
        };
        if !self.shown {
            return;
        }
        let Some(question) = self.waiting.pop_front() else { return };
        self.shown = false;
        let said = if decision == Decision::Approve { "approved" } else { "rejected" };
        output.ask(&self.style.dim(&format!("  {said}")));
        question.reply.decide(decision);
    }
}
