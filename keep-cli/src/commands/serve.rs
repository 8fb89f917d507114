//! `keep serve`.

use std::collections::BTreeSet;
use std::sync::Arc;

use keep_sdk::daemon::{Daemon, DaemonOptions};
use keep_sdk::{
    ApprovalPage, Approver, Attendance, BunkerOptions, BunkerView, ErrorCode, Fault, Headless, Keep,
    RelayUrl, Serving,
};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::approver::{Desk, at_terminal};
use crate::args::Serve;
use crate::ending::Ending;
use crate::output::{Output, View};
use crate::qr;
use crate::screen;
use crate::session::Session;
use crate::style::Style;
use crate::terminal;
use crate::watch::{Signals, Watch};
use crate::web::{self, Pages};

/// The width of a terminal that does not tell it.
const COLUMNS: usize = 80;

/// The address on stdout; everything around it is talk.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Address<'a>(pub &'a BunkerView);

impl View for Address<'_> {
    fn human(&self, _: Style) -> String {
        self.0.bunker_url.clone()
    }
}

pub fn run(session: &Session, arguments: &Serve) -> Result<(), Ending> {
    let relays = session.relays(&arguments.relay)?;
    let output = &session.output;
    let (keep, opening) = session.open_to_serve()?;
    let keys = if arguments.all_keys { keep.keys().own()? } else { vec![session.key(&keep)?] };
    let runtime = runtime()?;
    let signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    let screen =
        (!arguments.headless && !output.is_json() && screen::fits()).then(terminal::Terminal::open).flatten();
    let Asking { approver, desk, attendance: _attendance } =
        approver(output, &keep, arguments.headless, screen.is_none())?;
    let options = DaemonOptions {
        serving: true,
        confirm: arguments.confirm || session.config()?.confirm.value,
        opening,
        approver: Some(Arc::clone(&approver)),
        ..DaemonOptions::default()
    };
    let daemon = share(&keep, options, &signals)?;
    let pages = match wants_page(session, arguments)? {
        true => Some(Arc::new(Pages::new()?)),
        false => None,
    };
    let bunker = keep.bunker(approver);
    let mut views = Vec::new();
    for key in &keys {
        let view = bunker.offer_named(key, &relays, &arguments.policy)?;
        output.talk(&format!("{} {}", output.talk_style().bold(&key.name), key.npub));
        output.talk(&format!("policy {}, relays {}", view.policy, view.relays.join(", ")));
        views.push(view);
    }
    if screen.is_some() {
        output.talk("The screen shows what the policy does not cover; Q ends it.");
    }
    let told = match (desk.is_some(), arguments.headless) {
        _ if screen.is_some() => "",
        (true, _) => "You are asked about what the policy does not cover: Y approves, N rejects, Q quits.\n",
        (false, false) => "What the policy does not cover waits for `keep approve`; see `keep pending`.\n",
        (false, true) => "What the policy does not cover is refused.\n",
    };
    let outcome = runtime.block_on(async {
        let mut signals = signals;
        let port = arguments.auth_port.unwrap_or_default();
        let _page = match &pages {
            Some(pages) => Some(web::listen(Arc::clone(pages), keep.clone(), keep.approvals()?, port).await?),
            None => None,
        };
        let page = pages.clone().map(|pages| pages as Arc<dyn ApprovalPage>);
        let options = BunkerOptions { page, ..BunkerOptions::default() };
        let serving = tokio::select! {
            serving = bunker.serve_all(&keys, options) => serving?,
            () = signals.received() => return Ok(()),
        };
        for view in &mut views {
            view.also_relays = others(view, &serving);
        }
        say_others(&views, output);
        if let Some(device) = screen {
            for view in &views {
                output.show(&Address(view))?;
            }
            let page = pages.map(|pages| (pages.base().to_owned(), pages.code()));
            let parts =
                screen::Parts { keep: keep.clone(), queue: keep.approvals()?, addresses: views, page };
            return screen::run(output, parts, serving, signals, device).await;
        }
        for view in &views {
            show(view, output)?;
        }
        if let Some(pages) = &pages {
            say_page(output, pages)?;
        }
        output.talk("\nPaste the address into an application; its secret works once.");
        output.talk(told);
        Watch::new(output, desk).until_stopped(serving, signals).await
    });
    let farewell = daemon.stop();
    drop(keep);
    drop(farewell);
    outcome
}

/// The relays on which it listens for clients of earlier addresses, beside those of this one.
fn others(view: &BunkerView, serving: &Serving) -> Vec<String> {
    let all = serving.relays().into_iter().map(|status| status.relay.to_string());
    all.filter(|relay| !view.relays.contains(relay)).collect()
}

fn say_others(views: &[BunkerView], output: &Output) {
    let others: BTreeSet<&String> = views.iter().flat_map(|view| &view.also_relays).collect();
    let others: Vec<&str> = others.into_iter().map(String::as_str).collect();
    if !others.is_empty() {
        output.talk(&format!(
            "It listens on {} too, where clients of earlier addresses are.",
            others.join(", ")
        ));
    }
}

/// Whether clients are told of a page.
fn wants_page(session: &Session, arguments: &Serve) -> Result<bool, Fault> {
    Ok(arguments.auth_url || (!arguments.headless && session.config()?.auth_url.value))
}

/// The page for approvals, and the code that allows to decide there.
#[derive(Serialize)]
struct PageView {
    approval_page: PageAddress,
}

#[derive(Serialize)]
struct PageAddress {
    url: String,
    code: String,
}

fn say_page(output: &Output, pages: &Pages) -> Result<(), Ending> {
    let (url, code) = (pages.base().to_owned(), pages.code());
    if output.is_json() {
        return output.value(&PageView { approval_page: PageAddress { url, code } });
    }
    // Whoever asks is told, so that the code must not be missed.
    output.ask(&format!("\nApplications send their users to {url}; to decide there takes this code: {code}"));
    Ok(())
}

/// Lets other `keep` commands use the vault while it is served. Locking it ends the bunker.
pub fn share(keep: &Keep, options: DaemonOptions, signals: &Signals) -> Result<Daemon, Fault> {
    let daemon = Daemon::start(keep, options)?;
    let (ended, bell) = (daemon.ended(), signals.bell());
    std::thread::Builder::new()
        .name("lock".to_owned())
        .spawn(move || {
            ended.wait();
            bell.notify_one();
        })
        .map_err(|error| Fault::new(ErrorCode::Bug, format!("the system gives no thread: {error}")))?;
    Ok(daemon)
}

/// Who is asked.
pub struct Asking {
    pub approver: Arc<dyn Approver>,
    /// The person at the terminal, if there is one.
    pub desk: Option<Desk>,
    /// As long as it lives, `keep approve` can decide.
    pub attendance: Option<Attendance>,
}

/// Everybody who can decide what waits: the person at the terminal, `keep approve`; or nobody.
pub fn approver(output: &Output, keep: &Keep, headless: bool, line_by_line: bool) -> Result<Asking, Fault> {
    if headless {
        return Ok(Asking { approver: Arc::new(Headless), desk: None, attendance: None });
    }
    let queue = keep.approvals()?;
    let desk = if line_by_line { at_terminal(output, keep, &queue) } else { None };
    let attendance = Some(queue.attend());
    Ok(Asking { approver: queue, desk, attendance })
}

/// Shows where the bunker can be reached.
pub fn show(view: &BunkerView, output: &Output) -> Result<(), Ending> {
    output.talk("");
    output.show(&Address(view))?;
    let style = output.talk_style();
    if style.is_terminal() {
        let columns = terminal::columns().unwrap_or(COLUMNS);
        let code = qr::draw(&view.bunker_url, style, columns, 2);
        output.talk(&code.map_or_else(
            || style.dim("(a wider window would show a QR code here)"),
            |code| format!("\n{code}"),
        ));
    }
    Ok(())
}

/// Relay addresses as they were given.
pub fn relays(given: &[String]) -> Result<Vec<RelayUrl>, Fault> {
    given.iter().map(|relay| Ok(relay.parse().map_err(keep_sdk::NetError::from)?)).collect()
}

/// Where network commands run.
pub fn runtime() -> Result<Runtime, Fault> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::new(ErrorCode::Bug, format!("cannot start the runtime: {error}")))
}
