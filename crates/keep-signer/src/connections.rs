//! Endpoints, the clients that connected to them, and their grants.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{Grant, Limits, Policy, Usage};
use keep_store::Scan;
use keep_types::{DisplayText, EndpointId, ErrorCode, Fault, KeyId, Origin, PublicKey};
use keep_vault::{KeyRecord, Pending, Vault, VaultError};

use crate::endpoint::{Claim, Parts, Terms};
use crate::policies::{followed, no_policy};
use crate::{Endpoint, SignerError};

/// What a new endpoint is for.
#[derive(Clone)]
pub struct NewEndpoint {
    /// The key that its clients may use.
    pub key: KeyId,
    /// The relays on which it listens.
    pub relays: Vec<String>,
    /// What a client that connects with the secret may do.
    pub policy: Policy,
    /// Within which bounds.
    pub limits: Limits,
    /// The one-time connect secret: at least 16 of the characters `A-Za-z0-9_-`.
    pub secret: String,
}

impl std::fmt::Debug for NewEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewEndpoint").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a client says of itself. Unauthenticated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Its name.
    pub name: Option<String>,
    /// Its web page.
    pub url: Option<String>,
}

impl From<Option<String>> for Claims {
    fn from(name: Option<String>) -> Self {
        Self { name, url: None }
    }
}

/// The shortest connect secret, in characters.
const MIN_SECRET: usize = 16;
/// The longest name of itself that a client is remembered by, in characters.
const MAX_CLAIMS: usize = 64;

/// Endpoints, clients and grants of a vault.
#[derive(Debug, Clone)]
pub struct Connections {
    vault: Arc<Vault>,
}

impl Connections {
    /// The connections of `vault`.
    pub const fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    /// Makes an endpoint with a transport key of its own. Durable when this returns.
    ///
    /// # Errors
    /// When the key does not exist, the secret is too short or has other characters, or the store cannot be written.
    pub fn create(&self, new: NewEndpoint) -> Result<Endpoint, VaultError> {
        self.create_with(new, Terms::default())
    }

    /// As [`create`](Self::create), on other terms.
    ///
    /// # Errors
    /// As there; when the policy that is to be followed does not exist.
    pub fn create_with(&self, new: NewEndpoint, terms: Terms) -> Result<Endpoint, VaultError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if new.secret.len() < MIN_SECRET || !new.secret.chars().all(is_plain) {
            let message = "a connect secret has at least 16 of the characters A-Za-z0-9_-";
            return Err(VaultError::Rejected(Fault::new(ErrorCode::InvalidInput, message)));
        }
        let id = EndpointId::random()?;
        let (endpoint, _) = self
            .vault
            .submit(move |tx| {
                let key_place = keep_types::RecordId::from_bytes(*new.key.as_bytes());
                let key: KeyRecord = tx.get(&key_place)?.ok_or(VaultError::NoSuchKey)?;
                if terms.follows && followed(tx, &new.policy.name)?.is_none() {
                    return Err(no_policy(&new.policy.name));
                }
                let transport = Vault::new_transport_key(tx, id)?;
                let parts = Parts {
                    id,
                    key: key.id,
                    transport,
                    relays: new.relays,
                    policy: new.policy,
                    limits: new.limits,
                    created_at: tx.now(),
                    terms,
                };
                let endpoint = Endpoint::new(parts, new.secret);
                tx.put(Endpoint::place(id), &endpoint)?;
                tx.audit(Draft::new(Action::EndpointCreated, Outcome::Allowed, &Origin::Cli).key(key.id));
                Ok(endpoint)
            })
            .wait()?;
        Ok(endpoint)
    }

    /// Withdraws an endpoint: its transport key and the grants of its clients are gone when this returns. Says whether
    /// there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove(&self, id: EndpointId) -> Result<bool, VaultError> {
        let clients: Vec<PublicKey> = self
            .clients()?
            .into_iter()
            .filter_map(|(client, endpoint)| (endpoint == id).then_some(client))
            .collect();
        let (existed, _) = self
            .vault
            .submit(move |tx| {
                let Some(endpoint) = tx.get::<Endpoint>(&Endpoint::place(id))? else { return Ok(false) };
                tx.delete::<Endpoint>(&Endpoint::place(id))?;
                Vault::delete_transport_key(tx, id)?;
                // A grant that is made after the look above is worth nothing without its endpoint.
                for client in &clients {
                    let natural = Grant::natural_key(client, id);
                    tx.delete::<Grant>(&tx.locate::<Grant>(&natural))?;
                    tx.delete::<Usage>(&tx.locate::<Usage>(&natural))?;
                }
                let entry = Draft::new(Action::EndpointRemoved, Outcome::Allowed, &Origin::Cli);
                tx.audit(entry.key(endpoint.key));
                Ok(true)
            })
            .wait()?;
        Ok(existed)
    }

    /// Has the clients of an endpoint use these relays from now on. Durable when this returns.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] without such an endpoint; when the store cannot be written.
    pub fn move_to(&self, id: EndpointId, relays: Vec<String>) -> Result<Endpoint, VaultError> {
        let (endpoint, _) = self
            .vault
            .submit(move |tx| {
                let Some(mut endpoint) = tx.get::<Endpoint>(&Endpoint::place(id))? else {
                    let fault = Fault::new(ErrorCode::NotFound, "this bunker address no longer exists");
                    return Err(VaultError::Rejected(fault));
                };
                endpoint.move_to(relays);
                tx.put(Endpoint::place(id), &endpoint)?;
                let entry = Draft::new(Action::EndpointMoved, Outcome::Allowed, &Origin::Cli);
                tx.audit(entry.key(endpoint.key).reason(format!("relays {}", endpoint.relays.join(" "))));
                Ok(endpoint)
            })
            .wait()?;
        Ok(endpoint)
    }

    /// Every endpoint.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, VaultError> {
        let mut endpoints: Vec<Endpoint> =
            self.vault.all()?.into_iter().map(|(_, endpoint)| endpoint).collect();
        endpoints.sort_by_key(|endpoint| (endpoint.created_at, endpoint.id));
        Ok(endpoints)
    }

    /// Every grant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn grants(&self) -> Result<Vec<Grant>, VaultError> {
        Ok(self.vault.all()?.into_iter().map(|(_, grant)| grant).collect())
    }

    /// Every client with a grant, and the endpoint that it connected to.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn clients(&self) -> Result<HashSet<(PublicKey, EndpointId)>, VaultError> {
        let mut clients = HashSet::new();
        self.vault.scan::<Grant>(Scan::default(), &mut |_, grant| {
            clients.insert((grant.client_key(), grant.endpoint));
            ControlFlow::Continue(())
        })?;
        Ok(clients)
    }

    /// How often a grant was used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn usage(&self, client: &PublicKey, endpoint: EndpointId) -> Result<Usage, VaultError> {
        let natural = Grant::natural_key(client, endpoint);
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<Usage>(&natural);
            Ok(tx.get::<Usage>(&place)?.unwrap_or_default())
        });
        Ok(pending.wait()?.0)
    }

    /// A client presents the connect secret of an endpoint. Accepted, it has the endpoint's policy as its grant; a client
    /// that is connected already stays so, whatever it presents. `claims` is what it calls itself.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidSecret`] when the secret is missing, wrong or used by another client.
    pub async fn connect(
        &self,
        client: PublicKey,
        endpoint: EndpointId,
        secret: Option<String>,
        claims: impl Into<Claims>,
    ) -> Result<(), SignerError> {
        let (accepted, recording) =
            self.connecting(client, endpoint, secret, claims.into()).decided().await?;
        recording.committed().await?;
        accepted.map_err(SignerError::Refused)
    }

    /// As [`connect`](Self::connect), blocking.
    ///
    /// # Errors
    /// As there.
    pub fn connect_blocking(
        &self,
        client: PublicKey,
        endpoint: EndpointId,
        secret: String,
        claims: Claims,
    ) -> Result<(), SignerError> {
        let (accepted, _) = self.connecting(client, endpoint, Some(secret), claims).wait()?;
        accepted.map_err(SignerError::Refused)
    }

    fn connecting(
        &self,
        client: PublicKey,
        endpoint: EndpointId,
        secret: Option<String>,
        claims: Claims,
    ) -> Pending<Result<(), Fault>> {
        self.vault.submit(move |tx| {
            let natural = Grant::natural_key(&client, endpoint);
            let grant_at = tx.locate::<Grant>(&natural);
            if tx.get::<Grant>(&grant_at)?.is_some() {
                return Ok(Ok(()));
            }
            let Some(mut record) = tx.get::<Endpoint>(&Endpoint::place(endpoint))? else {
                return Ok(Err(invalid_secret("this bunker address no longer exists")));
            };
            let now = tx.now();
            let ahead = Grant::natural_key(&client, Self::ahead(record.key));
            let ahead_at = tx.locate::<Grant>(&ahead);
            if let Some(given) = tx.get::<Grant>(&ahead_at)?.filter(|_| !record.stopped) {
                // The owner knows this client by its key: it needs no secret.
                tx.delete::<Grant>(&ahead_at)?;
                let shown = |text: String| DisplayText::truncated(&text, MAX_CLAIMS).as_str().to_owned();
                let (claims, claims_url) = (claims.name.map(shown), claims.url.map(shown));
                let grant = Grant { endpoint, claims, claims_url, connected_at: now, ..given };
                tx.put(grant_at, &grant)?;
                let origin = Origin::Nip46 { client, endpoint };
                let entry = Draft::new(Action::ClientConnected, Outcome::Allowed, &origin).key(record.key);
                tx.audit(entry.reason(format!("policy {}", grant.policy.name)));
                return Ok(Ok(()));
            }
            match record.claim(&client, secret.as_deref().unwrap_or_default(), now) {
                Claim::Accepted => {}
                // The grant was taken away since: the spent secret does not bring it back.
                Claim::Again | Claim::Rejected => {
                    return Ok(Err(invalid_secret("the connect secret is wrong or was already used")));
                }
            }
            let shown = |text: String| DisplayText::truncated(&text, MAX_CLAIMS).as_str().to_owned();
            let ends = |limits: Limits| match (limits.expires, record.expires) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let limits = Limits { expires: ends(record.limits), ..record.limits };
            let grant = Grant {
                claims: claims.name.map(shown),
                claims_url: claims.url.map(shown),
                follows: record.follows,
                name: record.name.clone(),
                ..Grant::new(&client, endpoint, record.key, record.policy.clone(), limits, now)
            };
            tx.put(Endpoint::place(endpoint), &record)?;
            tx.put(grant_at, &grant)?;
            let origin = Origin::Nip46 { client, endpoint };
            let entry = Draft::new(Action::ClientConnected, Outcome::Allowed, &origin).key(record.key);
            tx.audit(entry.reason(format!("policy {}", grant.policy.name)));
            Ok(Ok(()))
        })
    }

    /// Ends a client's connection: its grant is gone when this returns. Says whether there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn disconnect(
        &self,
        client: PublicKey,
        endpoint: EndpointId,
        by: Origin,
    ) -> Result<bool, VaultError> {
        let (existed, recording) = self.disconnecting(client, endpoint, by).decided().await?;
        recording.committed().await?;
        Ok(existed)
    }

    pub(crate) fn disconnecting(&self, client: PublicKey, endpoint: EndpointId, by: Origin) -> Pending<bool> {
        self.vault.submit(move |tx| {
            let natural = Grant::natural_key(&client, endpoint);
            let existed = tx.delete::<Grant>(&tx.locate::<Grant>(&natural))?;
            if existed {
                tx.delete::<Usage>(&tx.locate::<Usage>(&natural))?;
                tx.audit(Draft::new(Action::ClientRemoved, Outcome::Allowed, &by).client(&client));
            }
            Ok(existed)
        })
    }

    pub(crate) const fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }
}

fn invalid_secret(message: &str) -> Fault {
    Fault::new(ErrorCode::InvalidSecret, message)
}
