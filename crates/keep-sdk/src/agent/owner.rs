//! What the owner asks about sessions.

use std::sync::Arc;

use keep_policy::Asks;
use keep_signer::{Maker, NewSession, Sessions, Standing};
use keep_types::{Fault, Name, Origin, RecordId};
use keep_vault::KeyRecord;
use serde::{Deserialize, Serialize};

use super::{MadeSession, SessionInfo, SessionScope};
use crate::call::{Call, Class, Host};
use crate::keys::record;

/// For how long a session lasts that an agent made for itself without saying it, in seconds.
const SELF_MADE_SECS: u64 = 24 * 3600;

/// The session makes another one only as long as it is itself.
pub(crate) fn sessions(host: &Host) -> Sessions {
    Sessions::new(Arc::clone(host.vault()))
}

/// As the views show it.
pub(crate) fn info(host: &Host, standing: &Standing) -> Result<SessionInfo, Fault> {
    let place = RecordId::from_bytes(*standing.session.key.as_bytes());
    let (key, _) = host.vault().submit(move |tx| tx.get::<KeyRecord>(&place)).wait()?;
    Ok(SessionInfo::new(standing, key.map(|key| key.name.to_string()), host.now()))
}

fn make(host: &Host, new: NewSession, maker: Maker) -> Result<MadeSession, Fault> {
    host.check_intact()?;
    let (session, token) = sessions(host).create(new, maker)?;
    let standing = sessions(host).standing(session.id)?;
    Ok(MadeSession { session: info(host, &standing)?, token })
}

/// Makes a session that the owner grants.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Create {
    pub name: String,
    pub key: Option<String>,
    pub scope: SessionScope,
    pub asks: Asks,
}

impl Call for Create {
    const NAME: &'static str = "agent.create";
    const CLASS: Class = Class::Manage;
    type Reply = MadeSession;

    fn run(self, host: &Host) -> Result<MadeSession, Fault> {
        let key = record(host, self.key.as_deref())?.id;
        let name = Some(
            Name::new(&self.name)
                .map_err(|error| Fault::new(keep_types::ErrorCode::InvalidInput, error.to_string()))?,
        );
        let scope = self.scope.asking_about_amounts();
        let (policy, limits, relays) = (scope.policy()?, scope.limits(host.now()), scope.relays()?);
        make(host, NewSession { name, key, policy, limits, relays, asks: self.asks }, Maker::Owner)
    }
}

/// Makes a session that narrows the asker's; for the owner's connection, what the owner allows all agents.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begin {
    pub key: Option<String>,
    pub scope: SessionScope,
    pub asks: Asks,
}

impl Call for Begin {
    const NAME: &'static str = "agent.begin";
    // It can only narrow what the asker has.
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = MadeSession;

    fn run(mut self, host: &Host) -> Result<MadeSession, Fault> {
        self.scope.duration_secs =
            Some(self.scope.duration_secs.map_or(SELF_MADE_SECS, |asked| asked.min(SELF_MADE_SECS)));
        // Where a person at the vault confirms each use, no program may say yes in that person's place.
        if host.is_confirmed() {
            self.asks = Asks::Vault;
        }
        let (maker, key) = match host.session() {
            Some(id) => (Maker::Session(id), sessions(host).standing(id)?.session.key),
            None => (Maker::Agent, record(host, self.key.as_deref())?.id),
        };
        if let Maker::Session(id) = maker {
            sessions(host).count(id)?;
        }
        let (policy, limits, relays) =
            (self.scope.policy()?, self.scope.limits(host.now()), self.scope.relays()?);
        make(host, NewSession { name: None, key, policy, limits, relays, asks: self.asks }, maker)
    }
}

/// Lists every session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {}

impl Call for List {
    const NAME: &'static str = "agent.list";
    const CLASS: Class = Class::Use;
    type Reply = Vec<SessionInfo>;

    fn run(self, host: &Host) -> Result<Vec<SessionInfo>, Fault> {
        sessions(host).all()?.iter().map(|standing| info(host, standing)).collect()
    }
}

/// Shows one session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Show {
    pub name: String,
}

impl Call for Show {
    const NAME: &'static str = "agent.show";
    const CLASS: Class = Class::Use;
    type Reply = SessionInfo;

    fn run(self, host: &Host) -> Result<SessionInfo, Fault> {
        info(host, &sessions(host).by_name(&self.name)?)
    }
}

/// Revokes a session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Revoke {
    pub name: String,
}

impl Call for Revoke {
    const NAME: &'static str = "agent.revoke";
    // Stopping an agent must never wait for a passphrase.
    const CLASS: Class = Class::Use;
    type Reply = SessionInfo;

    fn run(self, host: &Host) -> Result<SessionInfo, Fault> {
        let standing = sessions(host).by_name(&self.name)?;
        let view = info(host, &standing)?;
        sessions(host).revoke(standing.session.id, Origin::Cli)?;
        Ok(SessionInfo { state: "revoked".to_owned(), ..view })
    }
}
