//! Clients, tokens and addresses, managed while the bunker serves: what is changed here holds for the next request, and for
//! those that wait already.

mod client;
mod clients;
mod grant;
mod kill;
mod relays;
mod tokens;
mod views;

use keep_types::Fault;

pub use client::Nip46;
pub use grant::{GrantDuration, GrantTerms, Permitted};
pub use relays::MovedView;
pub use tokens::TokenTerms;
pub use views::{AppView, RevokedView, StoppedView, TokenView};

pub(crate) use clients::{Apps, AutoApprove, Revoke, client_grants};
pub(crate) use grant::SetGrant;
pub(crate) use kill::{IsStopped, Stop};
pub(crate) use relays::MoveRelays;
pub(crate) use tokens::{CreateToken, ListTokens, RevokeToken};

use keep_policy::{Builtin, Policy};
use keep_signer::Policies;

use crate::call::Host;

/// The policy of this name, and whether it is one of the vault's own that clients follow. A built-in one is copied.
pub(crate) fn named_policy(host: &Host, name: &str) -> Result<(Policy, bool), Fault> {
    if let Ok(builtin) = name.parse::<Builtin>() {
        return Ok((builtin.policy(), false));
    }
    let (policy, own) = Policies::new(host.vault().clone()).find(name)?;
    // Only the name is kept with the client: the rules are read where it is judged.
    Ok((Policy { name: policy.name, ..Policy::default() }, own))
}
