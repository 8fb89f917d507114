//! Messages of a ceremony as front ends have them, and what became of each.

use keep_frost::wire::Envelope;
use keep_types::{Fault, SkippedMessage};

use super::views::SkippedView;

/// The messages that can be read, and the others.
pub(super) struct Texts {
    /// The messages in their binary form.
    pub bytes: Vec<Vec<u8>>,
    /// The place of each among all.
    places: Vec<usize>,
    unreadable: Vec<SkippedView>,
}

impl Texts {
    /// Reads all, and leaves out what cannot be read.
    pub(super) fn read(texts: &[String]) -> Self {
        let mut read = Self { bytes: Vec::new(), places: Vec::new(), unreadable: Vec::new() };
        for (at, text) in texts.iter().enumerate() {
            match Envelope::parse(text).and_then(|envelope| envelope.to_bytes()) {
                Ok(bytes) => {
                    read.bytes.push(bytes);
                    read.places.push(at);
                }
                Err(error) => read.unreadable.push(SkippedView::new(at, &Fault::from(error), true)),
            }
        }
        read
    }

    /// What was left out of all of them, in their order.
    pub(super) fn skipped(&self, skipped: &[SkippedMessage]) -> Vec<SkippedView> {
        let mut all = self.unreadable.clone();
        for message in skipped {
            if let Some(at) = self.places.get(message.at) {
                all.push(SkippedView::new(*at, &message.fault, false));
            }
        }
        all.sort_by_key(|skipped| skipped.at);
        all
    }
}
