//! `keep nip46 grant`.

use keep_sdk::{ErrorCode, Fault, GrantDuration, GrantTerms, Permissions, Permitted};

use super::apps::Apps;
use super::{limits, seconds};
use crate::args::nip46::Grant;
use crate::ending::Ending;
use crate::session::Session;

pub fn run(session: &Session, arguments: &Grant) -> Result<(), Ending> {
    let permitted = match (&arguments.permissions, &arguments.policy) {
        (Some(list), _) => Some(Permitted::Methods {
            permissions: Permissions::parse(list)
                .map_err(|error| Fault::new(ErrorCode::Usage, error.to_string()))?,
            auto_approve: arguments.auto_approve_kinds.clone(),
        }),
        (None, Some(policy)) => Some(Permitted::Policy(policy.clone())),
        (None, None) => None,
    };
    let duration = match arguments.duration.as_deref() {
        None => None,
        Some("session") => Some(GrantDuration::Session),
        Some(text) => {
            let seconds = seconds(text, &["forever", "session"])?;
            Some(seconds.map_or(GrantDuration::Forever, GrantDuration::Seconds))
        }
    };
    let terms = GrantTerms {
        client: arguments.client.clone(),
        key: session.key_name().map(str::to_owned),
        name: arguments.name.clone(),
        permitted,
        duration,
        unlimited: arguments.unlimited,
        limits: limits(&arguments.bounds),
        suspended: arguments.suspend.then_some(true),
    };
    let apps = session.open()?.nip46().grant(terms)?;
    session.output.show(&Apps { apps })
}
