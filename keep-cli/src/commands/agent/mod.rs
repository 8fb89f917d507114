//! `keep agent`.

mod create;
mod list;
mod mcp;
mod token;

use keep_sdk::Fault;
use keep_sdk::agent::{
    Exceeding, Preset, SessionScope, parse_budget, parse_duration, parse_kinds, parse_rate, parse_sats,
};

use crate::args::agent::{Agent, Scope, ScopeName};
use crate::ending::Ending;
use crate::session::Session;

pub fn run(session: &Session, command: &Agent) -> Result<(), Ending> {
    match command {
        Agent::Create(arguments) => create::run(session, arguments),
        Agent::List => list::list(session),
        Agent::Show { name } => list::show(session, name),
        Agent::Revoke { name } => list::revoke(session, name),
        Agent::Mcp(arguments) => mcp::run(session, arguments),
    }
}

/// The scope that the flags say, if they say any; `otherwise` where they bound something and name no scope.
fn scope(flags: &Scope, otherwise: Preset) -> Result<Option<SessionScope>, Fault> {
    let says_nothing = flags.scope.is_none()
        && flags.kinds.is_none()
        && flags.recipients.is_empty()
        && flags.rates.is_empty()
        && flags.duration.is_none()
        && flags.budgets.is_empty()
        && flags.max_amount.is_none()
        && flags.ask_above.is_none()
        && flags.pay_to.is_empty()
        && !flags.ask;
    if says_nothing {
        return Ok(None);
    }
    let mut scope = SessionScope::of(match flags.scope {
        Some(ScopeName::Public) => Preset::Public,
        None => otherwise,
        Some(ScopeName::Nostr) => Preset::Nostr,
        Some(ScopeName::Bitcoin) => Preset::Bitcoin,
        Some(ScopeName::Full) => Preset::Full,
    });
    scope.kinds = flags.kinds.as_deref().map(parse_kinds).transpose()?;
    scope.recipients = (!flags.recipients.is_empty()).then(|| flags.recipients.clone());
    for rate in &flags.rates {
        parse_rate(rate, &mut scope.rates)?;
    }
    scope.duration_secs =
        flags.duration.as_deref().map(parse_duration).transpose()?.map(|time| time.as_secs());
    scope.spend.budgets = flags.budgets.iter().map(|text| parse_budget(text)).collect::<Result<_, _>>()?;
    scope.spend.per_transaction_sats = flags.max_amount.as_deref().map(parse_sats).transpose()?;
    scope.spend.ask_above_sats = flags.ask_above.as_deref().map(parse_sats).transpose()?;
    scope.spend.allow.clone_from(&flags.pay_to);
    if flags.ask {
        scope.exceeding = Exceeding::Ask;
    }
    Ok(Some(scope))
}
