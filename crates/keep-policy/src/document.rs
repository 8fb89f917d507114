//! Policies as people write them: TOML, and the same shape as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use keep_types::{DisplayText, ErrorCode, Fault, Operation, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::condition::host_pattern;
use crate::{
    Approval, ContentRule, Days, DurationError, Effect, Hours, Kinds, Limits, Peers, PlaintextClass,
    PlaintextClasses, Policy, Rule, RuleLimits, Schedule, ScheduleError, SpendLimits, TagRules, TagValues,
    Zone, parse_duration, write_duration,
};

/// The most rules of one policy.
const MAX_RULES: usize = 256;
/// The longest policy as a text, in bytes.
const MAX_TEXT: usize = 256 * 1024;

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not TOML, or with fields that do not belong there.
    #[error("{0}")]
    Form(String),
    /// The name cannot be one.
    #[error("\"{0}\" cannot be a policy's name: it has 1 to 64 of the characters a-z, 0-9 and -")]
    Name(DisplayText),
    /// Something in a rule.
    #[error("rule {rule}: {what}")]
    Rule {
        /// Its number, from 1.
        rule: usize,
        /// What does not fit.
        what: String,
    },
    /// A bound that is none.
    #[error("limits: {0}")]
    Limits(String),
    /// Too long.
    #[error("a policy has at most {MAX_RULES} rules and 256 KiB")]
    TooLong,
}

impl From<DocumentError> for Fault {
    fn from(error: DocumentError) -> Self {
        Self::new(ErrorCode::InvalidInput, format!("the policy does not read: {error}"))
            .with_hint("`keep policy show social` shows how one is written")
    }
}

/// A policy as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What happens to requests that no rule is about: `ask` unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Effect>,
    /// For how long after a client connected anything is allowed: `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
    /// Bounds for each client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsDocument>,
    /// Limits on spending.
    #[serde(default, skip_serializing_if = "SpendLimits::is_empty")]
    pub spend: SpendLimits,
    /// The rules, in order.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleDocument>,
}

/// Bounds as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsDocument {
    /// In all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
    /// In each minute of the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// In each hour of the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
    /// In each day, by universal time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
    /// Until when, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// At which times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleDocument>,
}

/// Days and hours as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleDocument {
    /// `mon` to `sun`; without any, every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// `08:00-18:00`; without it, the whole day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// `Europe/Prague`; without it, universal time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDocument {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happens.
    pub effect: Effect,
    /// The methods of NIP-46, or `all`; without any, `sign_event`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Kinds of events: numbers, and ranges such as `"30000-30005"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindDocument>,
    /// Tags of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagsDocument>,
    /// Content of the event, or the text to be encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentDocument>,
    /// The other side of messages: npubs, public keys in hexadecimal, `self`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
    /// Who that must not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_peers: Vec<String>,
    /// Relays that the event may name: addresses, and `own` for those that the bunker uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<String>,
    /// Hosts at which the event may sign in over HTTP (NIP-98); `*.example.com` for those under a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Plaintexts: `text`, `event`, `tags`, `json`, `secret`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plaintext: Vec<String>,
    /// Only at these times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleDocument>,
    /// Who approves what is asked: `owner` or `two_persons`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Only before this time, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// How often each client may do it: `uses`, `per_minute`, `per_hour`, `per_day`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<RuleLimits>,
}

/// A kind, or a range of kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KindDocument {
    /// One kind.
    One(u16),
    /// `from-to`, both included.
    Range(String),
}

/// Rules about tags as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagsDocument {
    /// Names that must be there, each with its values (none: any value).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub require: BTreeMap<String, Vec<String>>,
    /// Names that must not be there, each with its values (none: any value).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forbid: BTreeMap<String, Vec<String>>,
    /// The only names that may be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// How many tags there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// The only people whom tags may name (npub or hexadecimal).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<Vec<String>>,
}

/// Rules about content as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentDocument {
    /// One of these must be in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// None of these may be in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
    /// It begins with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begins: Vec<String>,
    /// In characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<u32>,
}

impl PolicyDocument {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`DocumentError`] with what does not fit, and where.
    pub fn from_toml(text: &str) -> Result<Self, DocumentError> {
        if text.len() > MAX_TEXT {
            return Err(DocumentError::TooLong);
        }
        toml::from_str(text).map_err(|error| DocumentError::Form(error.to_string().trim().to_owned()))
    }

    /// Writes TOML.
    ///
    /// # Errors
    /// [`DocumentError::Form`] when a text in it cannot be written.
    pub fn to_toml(&self) -> Result<String, DocumentError> {
        toml::to_string(self).map_err(|error| DocumentError::Form(error.to_string()))
    }

    /// The policy that this describes.
    ///
    /// # Errors
    /// [`DocumentError`] with what does not fit.
    pub fn policy(&self) -> Result<Policy, DocumentError> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(is_plain) {
            return Err(DocumentError::Name(DisplayText::truncated(&self.name, 80)));
        }
        if self.rules.len() > MAX_RULES {
            return Err(DocumentError::TooLong);
        }
        let rules = self.rules.iter().enumerate();
        let rules =
            rules.map(|(at, rule)| rule.rule().map_err(|what| DocumentError::Rule { rule: at + 1, what }));
        let lifetime = self.lifetime.as_deref().map(parse_duration).transpose();
        Ok(Policy {
            name: self.name.clone(),
            rules: rules.collect::<Result<_, _>>()?,
            otherwise: self.otherwise,
            limits: self.limits.as_ref().map(LimitsDocument::limits).transpose()?,
            lifetime: lifetime
                .map_err(|e: DurationError| DocumentError::Limits(e.to_string()))?
                .map(|d| d.as_secs()),
            description: self.description.clone(),
            spend: self.spend.clone(),
        })
    }

    /// How `policy` is written.
    pub fn of(policy: &Policy) -> Self {
        Self {
            name: policy.name.clone(),
            description: policy.description.clone(),
            otherwise: policy.otherwise,
            lifetime: policy.lifetime.map(|secs| write_duration(Duration::from_secs(secs))),
            limits: policy.limits.as_ref().map(LimitsDocument::of),
            spend: policy.spend.clone(),
            rules: policy.rules.iter().map(RuleDocument::of).collect(),
        }
    }
}

impl From<Policy> for PolicyDocument {
    fn from(policy: Policy) -> Self {
        Self::of(&policy)
    }
}

impl TryFrom<PolicyDocument> for Policy {
    type Error = DocumentError;

    fn try_from(document: PolicyDocument) -> Result<Self, DocumentError> {
        document.policy()
    }
}

impl From<Limits> for LimitsDocument {
    fn from(limits: Limits) -> Self {
        Self::of(&limits)
    }
}

impl TryFrom<LimitsDocument> for Limits {
    type Error = DocumentError;

    fn try_from(document: LimitsDocument) -> Result<Self, DocumentError> {
        document.limits()
    }
}

impl LimitsDocument {
    /// The bounds that this describes.
    ///
    /// # Errors
    /// [`DocumentError::Limits`] with what does not fit.
    pub fn limits(&self) -> Result<Limits, DocumentError> {
        let schedule = self.schedule.as_ref().map(ScheduleDocument::schedule).transpose();
        Ok(Limits {
            expires: self.expires.map(Timestamp::from_secs),
            uses: self.uses,
            per_minute: self.per_minute,
            per_hour: self.per_hour,
            per_day: self.per_day,
            schedule: schedule.map_err(|error| DocumentError::Limits(error.to_string()))?,
        })
    }

    /// How `limits` are written.
    pub fn of(limits: &Limits) -> Self {
        Self {
            uses: limits.uses,
            per_minute: limits.per_minute,
            per_hour: limits.per_hour,
            per_day: limits.per_day,
            expires: limits.expires.map(Timestamp::as_secs),
            schedule: limits.schedule.as_ref().map(ScheduleDocument::of),
        }
    }
}

impl ScheduleDocument {
    fn schedule(&self) -> Result<Schedule, ScheduleError> {
        Ok(Schedule {
            days: if self.days.is_empty() { Days::ALL } else { Days::from_words(&self.days)? },
            hours: self.hours.as_deref().map_or(Ok(Hours::ALL), str::parse)?,
            zone: self.zone.as_deref().map_or(Ok(Zone::UTC), str::parse)?,
        })
    }

    fn of(schedule: &Schedule) -> Self {
        let days = if schedule.days == Days::ALL { Vec::new() } else { schedule.days.words() };
        Self {
            days: days.into_iter().map(str::to_owned).collect(),
            hours: (schedule.hours != Hours::ALL).then(|| schedule.hours.to_string()),
            zone: (schedule.zone != Zone::UTC).then(|| schedule.zone.to_string()),
        }
    }
}

impl RuleDocument {
    fn rule(&self) -> Result<Rule, String> {
        let own = |word: &&String| word.as_str() == "own";
        let relays: Vec<String> = self.relays.iter().filter(|word| !own(word)).cloned().collect();
        for relay in &relays {
            keep_types::RelayUrl::parse(relay).map_err(|error| error.to_string())?;
        }
        if let Some(host) = self.hosts.iter().find(|host| !host_pattern(host)) {
            return Err(format!("\"{}\" is no host name", DisplayText::truncated(host, 80)));
        }
        if self.limits.is_some() && self.effect == Effect::Deny {
            return Err("limits are for rules that allow or ask".to_owned());
        }
        if self.approval.is_some() && self.effect != Effect::Ask {
            return Err("approval is for rules that ask".to_owned());
        }
        Ok(Rule {
            effect: self.effect,
            operations: operations(&self.methods)?,
            kinds: kinds(&self.kinds)?,
            own_relays_only: self.relays.iter().any(|word| own(&word)),
            tags: self.tags.as_ref().map(TagsDocument::rules).transpose()?,
            content: self.content.as_ref().map(ContentDocument::rule),
            peers: peers(&self.peers)?,
            not_peers: peers(&self.not_peers)?,
            relays: (!relays.is_empty()).then_some(relays),
            hosts: (!self.hosts.is_empty()).then(|| self.hosts.clone()),
            plaintext: plaintext(&self.plaintext)?,
            schedule: self
                .schedule
                .as_ref()
                .map(ScheduleDocument::schedule)
                .transpose()
                .map_err(|e| e.to_string())?,
            approval: self.approval,
            until: self.until.map(Timestamp::from_secs),
            name: self.name.clone(),
            limits: self.limits,
        })
    }

    fn of(rule: &Rule) -> Self {
        let words = |peers: &Option<Peers>| {
            let peers = peers.clone().unwrap_or_default();
            let mut words: Vec<String> = peers.own.then(|| "self".to_owned()).into_iter().collect();
            words.extend(peers.public_keys().map(|key| key.to_hex()));
            words
        };
        let mut relays: Vec<String> = rule.own_relays_only.then(|| "own".to_owned()).into_iter().collect();
        relays.extend(rule.relays.clone().unwrap_or_default());
        let is_all = Operation::for_clients().iter().all(|op| rule.operations.contains(op));
        let methods = rule.operations.iter().map(|op| op.as_str().to_owned());
        Self {
            name: rule.name.clone(),
            effect: rule.effect,
            methods: if is_all { vec!["all".to_owned()] } else { methods.collect() },
            kinds: written_kinds(&rule.kinds),
            tags: rule.tags.as_ref().map(TagsDocument::of),
            content: rule.content.as_ref().map(ContentDocument::of),
            peers: words(&rule.peers),
            not_peers: words(&rule.not_peers),
            relays,
            hosts: rule.hosts.clone().unwrap_or_default(),
            plaintext: rule
                .plaintext
                .map(|p| p.iter().map(|c| c.as_str().to_owned()).collect())
                .unwrap_or_default(),
            schedule: rule.schedule.as_ref().map(ScheduleDocument::of),
            approval: rule.approval,
            until: rule.until.map(Timestamp::as_secs),
            limits: rule.limits,
        }
    }
}

fn operations(words: &[String]) -> Result<Vec<Operation>, String> {
    if words.is_empty() {
        return Ok(vec![Operation::SignEvent]);
    }
    let mut operations = Vec::new();
    for word in words {
        if word == "all" {
            operations.extend(Operation::for_clients());
            continue;
        }
        let shown = DisplayText::truncated(word, 40);
        let operation: Operation = word.parse().map_err(|_| format!("there is no method \"{shown}\""))?;
        if operation.hands_out() {
            return Err(format!("{operation} is never allowed to a client"));
        }
        operations.push(operation);
    }
    Ok(operations)
}

fn kinds(written: &[KindDocument]) -> Result<Kinds, String> {
    let range = |text: &str| {
        let (from, to) = text.split_once('-')?;
        let (from, to): (u16, u16) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (from <= to).then_some((from, to))
    };
    let mut ranges = Vec::new();
    for kind in written {
        ranges.push(match kind {
            KindDocument::One(kind) => (*kind, *kind),
            KindDocument::Range(text) => range(text)
                .ok_or_else(|| format!("\"{}\" is no range of kinds", DisplayText::truncated(text, 40)))?,
        });
    }
    Ok(match ranges.iter().all(|(from, to)| from == to) {
        _ if ranges.is_empty() => Kinds::Any,
        true => Kinds::Only(ranges.into_iter().map(|(kind, _)| kind).collect()),
        false => Kinds::Ranges(ranges),
    })
}

fn written_kinds(kinds: &Kinds) -> Vec<KindDocument> {
    match kinds {
        Kinds::Any => Vec::new(),
        Kinds::Only(kinds) => kinds.iter().map(|kind| KindDocument::One(*kind)).collect(),
        Kinds::Ranges(ranges) => ranges
            .iter()
            .map(|(from, to)| match from == to {
                true => KindDocument::One(*from),
                false => KindDocument::Range(format!("{from}-{to}")),
            })
            .collect(),
    }
}

fn peers(words: &[String]) -> Result<Option<Peers>, String> {
    if words.is_empty() {
        return Ok(None);
    }
    let (mut own, mut keys) = (false, Vec::new());
    for word in words {
        if word == "self" {
            own = true;
            continue;
        }
        let shown = DisplayText::truncated(word, 80);
        keys.push(
            PublicKey::parse(word)
                .map_err(|_| format!("\"{shown}\" is no public key; write npub1… or self"))?,
        );
    }
    Ok(Some(Peers::new(own, &keys)))
}

fn plaintext(words: &[String]) -> Result<Option<PlaintextClasses>, String> {
    if words.is_empty() {
        return Ok(None);
    }
    let mut classes = PlaintextClasses::NONE;
    for word in words {
        let shown = DisplayText::truncated(word, 40);
        let class = PlaintextClass::ALL.into_iter().find(|class| class.as_str() == word);
        classes = classes.with(class.ok_or_else(|| {
            format!("\"{shown}\" is no class of plaintext; there are text, event, tags, json and secret")
        })?);
    }
    Ok(Some(classes))
}

impl TagsDocument {
    fn rules(&self) -> Result<TagRules, String> {
        let key = |word: &String| {
            let key = PublicKey::parse(word).map(|key| key.to_hex());
            key.map_err(|_| format!("\"{}\" is no public key", DisplayText::truncated(word, 80)))
        };
        let people = self.people.as_ref().map(|people| people.iter().map(key).collect()).transpose()?;
        let values = |written: &BTreeMap<String, Vec<String>>| {
            written
                .iter()
                .map(|(name, values)| TagValues { name: name.clone(), values: values.clone() })
                .collect()
        };
        Ok(TagRules {
            require: values(&self.require),
            forbid: values(&self.forbid),
            only: self.only.clone(),
            most: self.most,
            people,
        })
    }

    fn of(rules: &TagRules) -> Self {
        let written =
            |values: &[TagValues]| values.iter().map(|tag| (tag.name.clone(), tag.values.clone())).collect();
        Self {
            require: written(&rules.require),
            forbid: written(&rules.forbid),
            only: rules.only.clone(),
            most: rules.most,
            people: rules.people.clone(),
        }
    }
}

impl ContentDocument {
    fn rule(&self) -> ContentRule {
        ContentRule {
            contains: self.contains.clone(),
            excludes: self.excludes.clone(),
            begins: self.begins.clone(),
            longest: self.longest,
        }
    }

    fn of(rule: &ContentRule) -> Self {
        Self {
            contains: rule.contains.clone(),
            excludes: rule.excludes.clone(),
            begins: rule.begins.clone(),
            longest: rule.longest,
        }
    }
}
