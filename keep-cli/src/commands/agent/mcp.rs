//! `keep agent mcp`.

use std::path::Path;
use std::sync::Arc;

use keep_mcp::{Access, HttpOptions, Server, serve_http, serve_stdio};
use keep_sdk::agent::{Preset, RelayOffer, bunker_url, session_token};
use keep_sdk::{ErrorCode, Fault, SecretText};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::agent::Mcp;
use crate::commands::relays;
use crate::ending::Ending;
use crate::output::View;
use crate::secrets::unreadable;
use crate::session::Session;
use crate::style::Style;

/// Where it listens, and what clients must show.
#[derive(Serialize)]
struct Listening<'a> {
    url: &'a str,
    bearer: &'a str,
}

impl View for Listening<'_> {
    fn human(&self, _: Style) -> String {
        format!("{}\nAuthorization: Bearer {}", self.url, self.bearer)
    }
}

pub fn run(session: &Session, arguments: &Mcp) -> Result<(), Ending> {
    let access = access(session, arguments)?;
    let settings = &session.config()?.relays.value;
    let offer = RelayOffer { given: relays(&arguments.relay)?, settings: relays(settings)? };
    let (access, relays) = (Arc::new(access), Arc::new(offer));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fault::new(ErrorCode::Bug, error.to_string()))?;
    let served = match arguments.http {
        None => runtime.block_on(serve_stdio(Server::new(access, relays))).map_err(Ending::from),
        Some(address) => {
            let origins = arguments.origin.clone();
            let options =
                HttpOptions { address, bearer: bearer()?, origins, patience: HttpOptions::PATIENCE };
            runtime.block_on(listen(session, access, relays, options))
        }
    };
    // Standard input may be waited for until the client says something more, which it will not.
    runtime.shutdown_background();
    served
}

/// Through which session clients come. What is wrong is said here, before a client hears of tools.
fn access(session: &Session, arguments: &Mcp) -> Result<Access, Ending> {
    let scope = super::scope(&arguments.scope, Preset::Nostr)?;
    let token = session_token(arguments.session_file.as_deref())?;
    let local = arguments.session_file.is_some() || scope.is_some() || session.key_name().is_some();
    let bunker = arguments.bunker_file.as_deref().map(bunker_in).transpose()?;
    if let Some(url) = bunker.or_else(|| bunker_url().filter(|_| !local)) {
        if local {
            let message = "a bunker's limits are set at the bunker, and its URL says whose key it is";
            let hint = "leave out the session, its flags and --key";
            return Err(Fault::new(ErrorCode::Usage, message).with_hint(hint).into());
        }
        return Ok(Access::bunker(url));
    }
    let keep = session.open_held()?;
    let (home, start) = (keep.home().clone(), Some(session.starter()));
    Ok(match token {
        Some(token) => {
            keep.for_session(&token)?;
            Access::granted(home, start, token, scope)
        }
        None => {
            let key = Some(session.key(&keep)?.pubkey);
            Access::unnamed(home, start, key, scope, arguments.http.is_none())
        }
    })
}

/// The bunker's URL in a file: its secret does not belong where every program sees it.
fn bunker_in(path: &Path) -> Result<SecretText, Fault> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| unreadable(&path.display().to_string(), &error))?;
    Ok(SecretText::from(text.trim().to_owned()))
}

async fn listen(
    session: &Session,
    access: Arc<Access>,
    relays: Arc<RelayOffer>,
    options: HttpOptions,
) -> Result<(), Ending> {
    let bearer = Zeroizing::new(options.bearer.expose().to_owned());
    let server = serve_http(access, relays, options).await?;
    session.output.show(&Listening { url: &server.url(), bearer: &bearer })?;
    tokio::select! {
        () = server.run() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// A token for this run.
fn bearer() -> Result<SecretText, Fault> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::getrandom(&mut *random)
        .map_err(|_| Fault::new(ErrorCode::Bug, "the system gives no random numbers"))?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SecretText::from(digits))
}
