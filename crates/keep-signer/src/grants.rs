//! Changing what clients may do, while they are connected.

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{Grant, Limits, Policy, Rule, Usage};
use keep_types::{EndpointId, ErrorCode, Fault, KeyId, Origin, PublicKey, RecordId, Timestamp};
use keep_vault::{KeyRecord, Tx, VaultError};

use crate::policies::{followed, no_policy};
use crate::{Connections, Endpoint, current_run};

/// What the owner changes about a client. What is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct GrantChange {
    /// The owner's name for the client.
    pub name: Option<String>,
    /// What it may do, and whether it follows the policy of the vault that has this name.
    pub policy: Option<(Policy, bool)>,
    /// Lifts the bounds on uses and rates before it sets others.
    pub unlimited: bool,
    /// The bounds on uses and rates that are set; what is `None` stays. A number of uses is counted anew.
    pub limits: Limits,
    /// When it ends (`Some(None)`: never); without it, when it did before.
    pub expires: Option<Option<Timestamp>>,
    /// Whether it holds only for the present run of this process.
    pub session: Option<bool>,
    /// Whether it is suspended.
    pub suspended: Option<bool>,
    /// A decision that is remembered for it.
    pub remember: Option<Rule>,
    /// Forgets what was decided for it when asked.
    pub forget: bool,
}

impl Connections {
    /// Changes what `client` may do at `endpoint`; without a grant there, makes one if `create` says so. Holds for requests
    /// that wait already. Gives the grant as it stands then.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] without such a grant, endpoint or policy.
    pub fn change(
        &self,
        client: PublicKey,
        endpoint: EndpointId,
        change: GrantChange,
        create: bool,
    ) -> Result<Grant, VaultError> {
        let pending = self.vault().submit(move |tx| {
            let now = tx.now();
            let natural = Grant::natural_key(&client, endpoint);
            let place = tx.locate::<Grant>(&natural);
            let (mut grant, is_new) = match tx.get::<Grant>(&place)? {
                Some(grant) => (grant, false),
                None if create => (new_grant(tx, &client, endpoint)?, true),
                None => return Err(not_found("this client is not connected")),
            };
            if let Some((policy, follows)) = &change.policy
                && *follows
                && followed(tx, &policy.name)?.is_none()
            {
                return Err(no_policy(&policy.name));
            }
            if change.unlimited || change.limits.uses.is_some() {
                tx.delete::<Usage>(&tx.locate::<Usage>(&natural))?;
            }
            apply(&mut grant, change, now);
            tx.put(place, &grant)?;
            let action = if is_new { Action::ClientConnected } else { Action::GrantChanged };
            let entry = Draft::new(action, Outcome::Allowed, &Origin::Cli).client(&client).key(grant.key);
            tx.audit(entry.reason(format!("policy {}", grant.policy.name)));
            Ok(grant)
        });
        Ok(pending.wait()?.0)
    }

    /// Stops an endpoint, or lets it go on: while it is stopped none of its clients is answered, also not those whose
    /// requests wait already. Says whether there is one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn stop(&self, endpoint: EndpointId, stopped: bool) -> Result<bool, VaultError> {
        let pending = self.vault().submit(move |tx| {
            let place = Endpoint::place(endpoint);
            let Some(mut record) = tx.get::<Endpoint>(&place)? else { return Ok(false) };
            if record.stopped != stopped {
                record.stopped = stopped;
                tx.put(place, &record)?;
                let action = if stopped { Action::EndpointStopped } else { Action::EndpointResumed };
                tx.audit(Draft::new(action, Outcome::Allowed, &Origin::Cli).key(record.key));
            }
            Ok(true)
        });
        Ok(pending.wait()?.0)
    }

    /// As [`disconnect`](Self::disconnect), blocking, in the owner's name.
    ///
    /// # Errors
    /// As there.
    pub fn revoke(&self, client: PublicKey, endpoint: EndpointId) -> Result<bool, VaultError> {
        Ok(self.disconnecting(client, endpoint, Origin::Cli).wait()?.0)
    }
}

/// What a client has at an address before the owner says more; or, for the sign of a key, ahead of any connection.
fn new_grant(tx: &mut Tx<'_, '_>, client: &PublicKey, endpoint: EndpointId) -> Result<Grant, VaultError> {
    let now = tx.now();
    if let Some(record) = tx.get::<Endpoint>(&Endpoint::place(endpoint))? {
        let grant = Grant::new(client, endpoint, record.key, record.policy, record.limits, now);
        return Ok(Grant { follows: record.follows, ..grant });
    }
    let key = KeyId::from_bytes(*endpoint.as_bytes());
    if tx.get::<KeyRecord>(&RecordId::from_bytes(*key.as_bytes()))?.is_none() {
        return Err(not_found("this bunker address no longer exists"));
    }
    Ok(Grant::new(client, endpoint, key, Policy::default(), Limits::default(), now))
}

impl Connections {
    /// Where grants lie that were given to clients of `key` ahead of their connection: at no address, until the client
    /// connects to one of the key's.
    pub const fn ahead(key: KeyId) -> EndpointId {
        EndpointId::from_bytes(*key.as_bytes())
    }
}

fn apply(grant: &mut Grant, change: GrantChange, now: Timestamp) {
    if let Some(name) = change.name {
        grant.name = Some(name).filter(|name| !name.is_empty());
    }
    if let Some((policy, follows)) = change.policy {
        grant.policy = policy;
        grant.follows = follows;
        grant.remembered.clear();
    }
    let before = if change.unlimited { Limits::default() } else { grant.limits };
    let set = change.limits;
    grant.limits = Limits {
        expires: change.expires.unwrap_or(grant.limits.expires),
        uses: set.uses.or(before.uses),
        per_minute: set.per_minute.or(before.per_minute),
        per_hour: set.per_hour.or(before.per_hour),
        per_day: set.per_day.or(before.per_day),
        ..grant.limits
    };
    if let Some(session) = change.session {
        grant.session = session.then(current_run);
    }
    if let Some(suspended) = change.suspended {
        grant.suspended = suspended;
    }
    if change.forget {
        grant.remembered.clear();
    }
    if let Some(rule) = change.remember {
        grant.remember(rule, now);
    }
}

fn not_found(message: &str) -> VaultError {
    VaultError::Rejected(Fault::new(ErrorCode::NotFound, message).with_hint("see `keep nip46 apps`"))
}
