//! The owner's handle.

use keep_net::RelayUrl;
use keep_types::Fault;

use super::{
    AppView, Apps, AutoApprove, CreateToken, GrantTerms, IsStopped, ListTokens, MoveRelays, MovedView,
    Revoke, RevokeToken, RevokedView, SetGrant, Stop, StoppedView, TokenTerms, TokenView,
};
use crate::Keep;
use crate::bunker::pairing::{ConnectTerms, ConnectedView, PairWith};

/// Manages clients and tokens, here or in the process that serves.
#[derive(Debug, Clone)]
pub struct Nip46 {
    keep: Keep,
}

impl Nip46 {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Connected clients, the oldest connection first.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn apps(&self) -> Result<Vec<AppView>, Fault> {
        self.keep.call(Apps {})
    }

    /// Grants a client something, or changes what it has. Holds at once.
    ///
    /// # Errors
    /// When the client, key or policy is not known, or the key has no address yet.
    pub fn grant(&self, terms: GrantTerms) -> Result<Vec<AppView>, Fault> {
        self.keep.call(SetGrant { terms })
    }

    /// Ends a client's connections, also for requests that wait.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound).
    pub fn revoke(&self, client: &str) -> Result<RevokedView, Fault> {
        self.keep.call(Revoke { client: client.to_owned() })
    }

    /// Lets a client, or every client, sign events of these kinds without asking.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) without a client.
    pub fn auto_approve(&self, client: Option<&str>, kinds: &[u16]) -> Result<Vec<AppView>, Fault> {
        self.keep.call(AutoApprove { client: client.map(str::to_owned), kinds: kinds.to_vec() })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// When the key or the policy is not known, or there is no relay.
    pub fn create_token(&self, terms: TokenTerms) -> Result<TokenView, Fault> {
        self.keep.call(CreateToken { terms })
    }

    /// Every token, the oldest first.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn tokens(&self) -> Result<Vec<TokenView>, Fault> {
        self.keep.call(ListTokens {})
    }

    /// Withdraws a token, with the clients that took it.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound).
    pub fn revoke_token(&self, token: &str) -> Result<(), Fault> {
        self.keep.call(RevokeToken { token: token.to_owned() }).map(drop)
    }

    /// The kill switch: stops every address, or lets them go on.
    ///
    /// # Errors
    /// When the vault cannot be written.
    pub fn stop(&self, stopped: bool) -> Result<StoppedView, Fault> {
        self.keep.call(Stop { stopped })
    }

    /// Whether the kill switch is thrown: every address is stopped.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn is_stopped(&self) -> Result<StoppedView, Fault> {
        self.keep.call(IsStopped {})
    }

    /// Has the clients of a client's or token's addresses use other relays: they are told when they ask (`switch_relays`),
    /// and those that do not ask find the bunker where it was.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) without such a client or token; when the vault cannot be written.
    pub fn move_relays(&self, whose: &str, relays: &[RelayUrl]) -> Result<Vec<MovedView>, Fault> {
        self.keep.call(MoveRelays { whose: whose.to_owned(), relays: relays.to_vec() })
    }

    /// Connects to a client that asks for a signer with a `nostrconnect://` address.
    ///
    /// # Errors
    /// When the address does not read, or none of its relays takes the answer.
    pub fn connect(&self, terms: ConnectTerms) -> Result<ConnectedView, Fault> {
        self.keep.call(PairWith { terms })
    }
}
