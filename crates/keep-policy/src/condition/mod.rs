//! What a rule asks of a request beyond its method and kind.

mod content;
mod host;
mod peers;
mod people;
mod plaintext;
mod relay;
mod tags;

pub use content::ContentRule;
pub(crate) use host::{host, host_pattern, signs_in_at};
pub use peers::Peers;
pub use plaintext::{PlaintextClass, PlaintextClasses};
pub(crate) use relay::named_relays;
pub(crate) use relay::same_relay;
pub use tags::{TagRules, TagValues};
