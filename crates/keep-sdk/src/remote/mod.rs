//! Keys that another bunker holds: asked for over NIP-46, as a client.

mod ask;
mod calls;
mod record;
mod signer;

pub(crate) use record::RemoteKey;
pub use signer::RemoteSigner;

pub(crate) use calls::{AddRemote, AskRemote, find, name_holder, names, remove, sign_event, views};

use keep_types::Fault;

use crate::{Keep, KeyView};

/// Keys of other bunkers, as keys of this vault.
#[derive(Debug, Clone)]
pub struct RemoteKeys {
    keep: Keep,
}

impl RemoteKeys {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Connects to the bunker of a `bunker://` address, and keeps the connection under `name`.
    ///
    /// # Errors
    /// When the address does not read, the name is taken, or the bunker does not answer or refuses.
    pub fn add(&self, name: keep_types::Name, uri: &str) -> Result<KeyView, Fault> {
        self.keep.call(AddRemote { name, uri: uri.to_owned() })
    }

    /// Has the bunker of a key do something: a method of NIP-46 and its parameters, as `keep nip46 call` takes them.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) without such a key; what the bunker answers; when it does not.
    pub fn ask(&self, key: &str, method: &str, params: &[String]) -> Result<serde_json::Value, Fault> {
        let call = AskRemote { key: key.to_owned(), method: method.to_owned(), params: params.to_vec() };
        Ok(self.keep.call(call)?.result)
    }
}
