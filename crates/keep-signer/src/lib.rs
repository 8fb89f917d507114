//! The one way a signature is made.
//!
//! [`Signer::handle`] takes a [`Request`](keep_types::Request) through the pipeline: it is *judged* inside the store's
//! write lock, *asked* of a person where policy says so, *recorded* in one commit with its audit entry and counters,
//! *signed* while that commit runs, and *released* when it is durable. A repeated request gets the same result again
//! without a second record.
//!
//! [`Connections`] keeps what remote signing needs beside that: endpoints (one `bunker://` URL each), the clients that
//! connected to them, and their grants. [`Wallets`] keeps opened Bitcoin accounts, and the owner's limits on spending.
#![forbid(unsafe_code)]

mod admitted;
mod approver;
mod connections;
mod cosigner;
mod counters;
mod elsewhere;
mod endings;
mod endpoint;
mod entry;
mod error;
mod form;
mod grants;
mod policies;
mod purse;
mod request_row;
mod revive;
mod ruled;
mod ruling;
mod run;
mod session_case;
mod session_ruling;
mod sessions;
mod signer;
mod unanswered;
mod wallets;

pub use admitted::spend_uncounted;
pub use approver::{Approver, Decision, Headless, Reply, Settled};
pub use connections::{Claims, Connections, NewEndpoint};
pub use elsewhere::Elsewhere;
pub use endpoint::{Endpoint, Terms};
pub use error::SignerError;
pub use form::form;
pub use grants::GrantChange;
pub use policies::{Person, Policies, PolicyRow, Seat};
pub use request_row::{RequestRow, RequestState};
pub use revive::{accept_damage, accept_rollback, revive};
pub use run::current_run;
pub use sessions::{Maker, NewSession, Sessions, Standing};
pub use signer::{Arrival, GivenUp, Repeatable, Signer, Unfinished};
pub use wallets::{AccountId, Wallets};
