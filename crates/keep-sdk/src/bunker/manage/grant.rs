//! What the owner grants to a client by name.

use keep_nip46::{Permission, Permissions};
use keep_policy::{Effect, Grant, Kinds, Limits, Policy, Rule};
use keep_signer::{Connections, GrantChange};
use keep_types::{ErrorCode, Fault, KeyId, Operation, PublicKey};
use serde::{Deserialize, Serialize};

use super::clients::app_views;
use super::{AppView, named_policy};
use crate::bunker::running::Running;
use crate::call::{Call, Class, Host};
use crate::keys::record;

/// What a client may do, as the command line says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permitted {
    /// A policy by name.
    Policy(String),
    /// Methods (`all` for every one but export), and kinds that are signed without asking.
    Methods {
        /// As NIP-46 writes permissions.
        permissions: Permissions,
        /// Kinds that a `sign_event` permission allows; it asks for the others.
        auto_approve: Vec<u16>,
    },
}

/// For how long a grant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantDuration {
    /// Until it is changed.
    Forever,
    /// As long as the process that serves runs, and the client stays logged in.
    Session,
    /// So many seconds from now.
    Seconds(u64),
}

/// A grant as the owner gives it. What is not named stays as it was; a new grant has no limits and no end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GrantTerms {
    /// The client: npub or public key in hexadecimal; one that is connected also by its name.
    pub client: String,
    /// The key; without it, that of the client's connection, or the only one.
    pub key: Option<String>,
    /// The owner's name for the client.
    pub name: Option<String>,
    /// What it may do; without it, what it could before.
    pub permitted: Option<Permitted>,
    /// For how long.
    pub duration: Option<GrantDuration>,
    /// Lifts all limits on uses and rates, before those of `limits` are set.
    pub unlimited: bool,
    /// At most so many uses, which are counted anew, and how many in each minute, hour and day. When it ends is said by
    /// `duration`.
    pub limits: Limits,
    /// Suspends it, or lets it go on; without it, whoever is permitted something goes on.
    pub suspended: Option<bool>,
}

/// Grants.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetGrant {
    pub terms: GrantTerms,
}

impl Call for SetGrant {
    const NAME: &'static str = "nip46.grant";
    const CLASS: Class = Class::Manage;
    type Reply = Vec<AppView>;

    fn run(self, host: &Host) -> Result<Vec<AppView>, Fault> {
        let terms = self.terms;
        host.check_intact()?;
        if terms.duration == Some(GrantDuration::Session) && !host.state::<Running>().is_serving() {
            return Err(Fault::new(ErrorCode::Usage, "a grant for a session needs a bunker that serves now")
                .with_hint("start `keep serve` first, or give a duration such as 24h"));
        }
        let connections = Connections::new(host.vault().clone());
        let (client, places) = places(host, &terms)?;
        let policy = match &terms.permitted {
            None => None,
            Some(Permitted::Policy(name)) => Some(named_policy(host, name)?),
            Some(Permitted::Methods { permissions, auto_approve }) => {
                Some((policy_of(permissions, auto_approve)?, false))
            }
        };
        let expires = terms.duration.map(|duration| match duration {
            GrantDuration::Forever | GrantDuration::Session => None,
            GrantDuration::Seconds(seconds) => Some(host.now().plus(std::time::Duration::from_secs(seconds))),
        });
        let mut grants: Vec<Grant> = Vec::new();
        for endpoint in places {
            let change = GrantChange {
                name: terms.name.clone(),
                policy: policy.clone(),
                unlimited: terms.unlimited,
                limits: terms.limits,
                expires,
                session: terms.duration.map(|duration| duration == GrantDuration::Session),
                suspended: terms.suspended.or(terms.permitted.is_some().then_some(false)),
                ..GrantChange::default()
            };
            grants.push(connections.change(client, endpoint, change, terms.permitted.is_some())?);
        }
        host.state::<Running>().changed();
        app_views(host, &grants)
    }
}

type Places = (PublicKey, Vec<keep_types::EndpointId>);

/// The client, and the endpoints at which it is granted something: where it is connected with the key, or else ahead of its
/// connection to any address of the key.
fn places(host: &Host, terms: &GrantTerms) -> Result<Places, Fault> {
    let key = terms.key.as_deref().map(|key| record(host, Some(key))).transpose()?.map(|key| key.id);
    let of_key = |grant: &Grant| key.is_none_or(|key| grant.key == key);
    if let Ok(mut grants) = super::client_grants(host, &terms.client) {
        grants.retain(of_key);
        if let Some(first) = grants.first() {
            return Ok((first.client_key(), grants.iter().map(|grant| grant.endpoint).collect()));
        }
    }
    let client = PublicKey::parse(&terms.client).map_err(|_| {
        Fault::new(ErrorCode::InvalidInput, "this is neither a connected client nor a public key")
            .with_hint("write the client's npub1…, or see `keep nip46 apps`")
    })?;
    let key: KeyId = match key {
        Some(key) => key,
        None => record(host, None)?.id,
    };
    Ok((client, vec![Connections::ahead(key)]))
}

/// The policy that a list of permissions describes. What it does not name is denied.
fn policy_of(permissions: &Permissions, auto_approve: &[u16]) -> Result<Policy, Fault> {
    let mut rules = Vec::new();
    let is_all = permissions.iter().any(|permission| permission.method() == "all");
    let named: Vec<(Operation, Option<u16>)> = if is_all {
        Operation::for_clients().into_iter().map(|operation| (operation, None)).collect()
    } else {
        let known = permissions.iter().filter(|permission| !is_free(permission));
        known
            .map(|permission| Ok((operation(permission)?, permission.kind())))
            .collect::<Result<_, Fault>>()?
    };
    if named.is_empty() && permissions.is_empty() {
        return Err(Fault::new(ErrorCode::Usage, "no permission is named")
            .with_hint("for example --permissions get_public_key,sign_event, or all"));
    }
    let signing = named.iter().any(|(operation, _)| *operation == Operation::SignEvent);
    if !signing && !auto_approve.is_empty() {
        return Err(Fault::new(ErrorCode::Usage, "kinds are named, and signing events is not permitted")
            .with_hint("add sign_event to --permissions, or leave --auto-approve-kinds out"));
    }
    let mut kinds: Vec<u16> = named.iter().filter_map(|(_, kind)| *kind).collect();
    let signs = named.iter().any(|(operation, kind)| *operation == Operation::SignEvent && kind.is_none());
    if signs || !kinds.is_empty() {
        kinds.extend(auto_approve);
    }
    if !kinds.is_empty() {
        rules.push(Rule::sign(Effect::Allow, &kinds));
    }
    if signs {
        // Everything is allowed only where that was said: `all` without a list of kinds.
        let effect = if is_all && auto_approve.is_empty() { Effect::Allow } else { Effect::Ask };
        rules.push(Rule { kinds: Kinds::Any, ..Rule::sign(effect, &[]) });
    }
    let others: Vec<Operation> =
        named.iter().map(|(operation, _)| *operation).filter(|op| *op != Operation::SignEvent).collect();
    if !others.is_empty() {
        rules.push(Rule::new(Effect::Allow, &others));
    }
    let description = Some("given by the owner".to_owned());
    Ok(Policy {
        name: "granted".to_owned(),
        rules,
        otherwise: Some(Effect::Deny),
        description,
        ..Policy::default()
    })
}

/// What every connected client may do, permitted or not.
fn is_free(permission: &Permission) -> bool {
    ["connect", "ping", "switch_relays", "logout"].contains(&permission.method())
}

fn operation(permission: &Permission) -> Result<Operation, Fault> {
    match permission.operation() {
        Some(operation) if operation.hands_out() => {
            Err(Fault::new(ErrorCode::InvalidInput, format!("{operation} is never allowed to a client")))
        }
        // Leaving it out would allow more than was said.
        Some(operation) if permission.param().is_some() && operation != Operation::SignEvent => {
            Err(Fault::new(ErrorCode::Usage, format!("{operation} cannot be limited to {permission}"))
                .with_hint("name the method alone; only sign_event takes a kind"))
        }
        Some(operation) => Ok(operation),
        None => {
            let known: Vec<&str> =
                Operation::for_clients().iter().map(|operation| operation.as_str()).collect();
            let message = format!("there is no permission \"{permission}\"");
            Err(Fault::new(ErrorCode::Usage, message)
                .with_hint(format!("there are all, {}", known.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(permissions: &str, kinds: &[u16]) -> Policy {
        policy_of(&Permissions::parse(permissions).unwrap(), kinds).unwrap()
    }

    #[test]
    fn permissions_become_rules() {
        let rules = policy("get_public_key,sign_event", &[1, 7]).rules;
        assert_eq!(rules[0], Rule::sign(Effect::Allow, &[1, 7]));
        assert_eq!(rules[1].effect, Effect::Ask, "other kinds are asked");
        assert_eq!(rules[2], Rule::new(Effect::Allow, &[Operation::GetPublicKey]));
        let bare = policy("sign_event", &[]).rules;
        assert_eq!(bare.len(), 1);
        assert_eq!(bare[0].effect, Effect::Ask, "a permission without kinds signs nothing unasked");
        let one = policy("sign_event:1,ping", &[]);
        assert_eq!(one.rules, [Rule::sign(Effect::Allow, &[1])]);
        assert_eq!(one.otherwise, Some(Effect::Deny));
        assert_eq!(policy("all", &[]).rules[0].effect, Effect::Allow);
        assert_eq!(policy("all", &[1]).rules[1].effect, Effect::Ask);
        assert!(policy_of(&Permissions::parse("export").unwrap(), &[]).is_err());
        assert!(policy_of(&Permissions::parse("fly").unwrap(), &[]).is_err());
    }
}
