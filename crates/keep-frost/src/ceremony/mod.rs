//! Key generation and share renewal among devices: distributed, authenticated, certified.
//!
//! Both are Pedersen's scheme with proofs of knowledge ("PedPop", the FROST paper): each member sends a public
//! contribution to all and a secret one to each, and sums up what it got. The scheme alone lets a member show different
//! contributions to different peers, and lets the last speaker choose; so
//!
//! - the session id is a hash of the plan (purpose, threshold, roster, a nonce), and every message is signed for it;
//! - in key generation each member first commits to its contribution, then reveals it, so that [`Ceremony::code`],
//!   which people may compare, cannot be steered;
//! - at the end each member signs what it saw. Only with everybody's signature over the same transcript does the
//!   result exist ([`Ceremony::finish`]); the [`Certificate`] shows it to those who were away.
//!
//! A ceremony may be written down and restored; it then sends the very same messages again.

mod engine;
mod plan;
mod rounds;
mod snapshot;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use engine::{Ceremony, Outcome};
pub use plan::{Certificate, Plan};
pub use snapshot::Peeked;
