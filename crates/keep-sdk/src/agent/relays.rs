//! Where a session may publish: at relays that the owner named, and never where a model likes to.

use keep_types::{ErrorCode, Fault, Operation, RelayUrl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owner::sessions;
use super::uses::asker;
use crate::call::{Call, Class, Host};

/// The relays that the owner lets an agent's server use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOffer {
    /// Those that the server was started with. They narrow the session's own, if it has some.
    pub given: Vec<RelayUrl>,
    /// Those of the owner's settings: for where neither the server nor the session has some.
    pub settings: Vec<RelayUrl>,
}

/// The relays of a note that is to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChosenRelays {
    /// Their addresses.
    pub relays: Vec<String>,
}

/// Chooses where a note is published. The agent names some of the relays that it may use, or leaves it to the owner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChooseRelays {
    pub offer: RelayOffer,
    pub named: Vec<RelayUrl>,
}

impl Call for ChooseRelays {
    const NAME: &'static str = "agent.choose_relays";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = ChosenRelays;

    fn run(self, host: &Host) -> Result<ChosenRelays, Fault> {
        let id = asker(host)?;
        let standing = sessions(host).standing(id)?;
        let chosen = self.choose(standing.relays.as_deref(), standing.owner_named_relays);
        if let Err(fault) = &chosen
            && fault.code() == ErrorCode::RefusedByPolicy
        {
            sessions(host).refuse(id, Operation::SignEvent, fault.clone())?;
        }
        chosen
    }
}

impl ChooseRelays {
    /// What the agent named, or all that it may use; `own` are those of its session. They stand alone only where the owner
    /// named some (`by_owner`): what an agent says of a session that it makes narrows the owner's list, and is none itself.
    ///
    /// # Errors
    /// [`ErrorCode::RefusedByPolicy`] when it named one that it may not use; [`ErrorCode::Usage`] when there is none at all.
    pub(crate) fn choose(&self, own: Option<&[String]>, by_owner: bool) -> Result<ChosenRelays, Fault> {
        let texts = |all: &[RelayUrl]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let given = texts(&self.offer.given);
        let of_owner = if given.is_empty() { texts(&self.offer.settings) } else { given.clone() };
        let allowed = match own {
            Some(own) if by_owner && given.is_empty() => own.to_vec(),
            Some(own) => of_owner.into_iter().filter(|relay| own.contains(relay)).collect(),
            None => of_owner,
        };
        if let Some(other) = self.named.iter().map(ToString::to_string).find(|one| !allowed.contains(one)) {
            let message = format!("the owner does not let this session publish to {other}");
            let hint = if allowed.is_empty() {
                "the owner names relays: `keep agent create --relay`, `keep agent mcp --relay`".to_owned()
            } else {
                format!("name none, or some of {}", allowed.join(", "))
            };
            return Err(Fault::new(ErrorCode::RefusedByPolicy, message).with_hint(hint));
        }
        let relays = if self.named.is_empty() { allowed } else { texts(&self.named) };
        if relays.is_empty() {
            let hint = "the owner names relays: `keep agent create --relay`, `keep agent mcp --relay`, or the settings";
            return Err(Fault::new(ErrorCode::Usage, "there is no relay to publish to").with_hint(hint));
        }
        Ok(ChosenRelays { relays })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(names: &[&str]) -> Vec<RelayUrl> {
        names.iter().map(|name| RelayUrl::parse(&format!("wss://{name}.example")).unwrap()).collect()
    }

    type Chosen = Result<Vec<String>, ErrorCode>;

    fn chosen(own: Option<&[&str]>, given: &[&str], settings: &[&str], named: &[&str]) -> Chosen {
        chosen_of(own, true, given, settings, named)
    }

    fn chosen_of(
        own: Option<&[&str]>,
        by_owner: bool,
        given: &[&str],
        settings: &[&str],
        named: &[&str],
    ) -> Chosen {
        let offer = RelayOffer { given: urls(given), settings: urls(settings) };
        let own = own.map(|own| urls(own).iter().map(ToString::to_string).collect::<Vec<_>>());
        let chosen = ChooseRelays { offer, named: urls(named) }.choose(own.as_deref(), by_owner);
        let name = |url: String| url.trim_start_matches("wss://").split('.').next().unwrap().to_owned();
        chosen.map(|chosen| chosen.relays.into_iter().map(name).collect()).map_err(|fault| fault.code())
    }

    #[test]
    fn what_an_agent_names_for_its_own_session_only_narrows() {
        let of = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let own = Some(&["a", "s", "g"][..]);
        assert_eq!(chosen_of(own, false, &[], &[], &[]), Err(ErrorCode::Usage));
        assert_eq!(chosen_of(own, false, &[], &[], &["a"]), Err(ErrorCode::RefusedByPolicy));
        assert_eq!(chosen_of(own, false, &[], &["s", "t"], &[]), of(&["s"]));
        assert_eq!(chosen_of(own, false, &[], &["s"], &["a"]), Err(ErrorCode::RefusedByPolicy));
        assert_eq!(chosen_of(own, false, &["g"], &["s"], &[]), of(&["g"]));
    }

    #[test]
    fn only_the_owner_names_relays() {
        let refused = Err(ErrorCode::RefusedByPolicy);
        let of = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        // Nobody named any.
        assert_eq!(chosen(None, &[], &[], &[]), Err(ErrorCode::Usage));
        assert_eq!(chosen(None, &[], &[], &["x"]), refused);
        // The settings, then what the server was started with.
        assert_eq!(chosen(None, &[], &["s"], &[]), of(&["s"]));
        assert_eq!(chosen(None, &[], &["s", "t"], &["t"]), of(&["t"]));
        assert_eq!(chosen(None, &[], &["s"], &["x"]), refused);
        assert_eq!(chosen(None, &["g"], &["s"], &[]), of(&["g"]));
        assert_eq!(chosen(None, &["g"], &["s"], &["s"]), refused);
        // What a session names, the server narrows, and the settings do not widen.
        assert_eq!(chosen(Some(&["a", "b"]), &[], &["s"], &[]), of(&["a", "b"]));
        assert_eq!(chosen(Some(&["a", "b"]), &["b", "c"], &["s"], &[]), of(&["b"]));
        assert_eq!(chosen(Some(&["a", "b"]), &["b", "c"], &[], &["c"]), refused);
        assert_eq!(chosen(Some(&["a", "b"]), &["b", "c"], &[], &["a"]), refused);
        assert_eq!(chosen(Some(&["a"]), &["c"], &["s"], &[]), Err(ErrorCode::Usage));
        assert_eq!(chosen(Some(&[]), &[], &["s"], &[]), Err(ErrorCode::Usage));
        assert_eq!(chosen(Some(&["a"]), &[], &[], &["a", "x"]), refused);
    }
}
