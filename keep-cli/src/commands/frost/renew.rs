//! `keep frost refresh`, `repair` and `device`.

use std::collections::BTreeMap;

use keep_sdk::frost::{Frost, GroupView, PlanView, StepView};
use keep_sdk::{ErrorCode, Fault};
use serde::Serialize;

use super::exchange::leave;
use super::files::{agree, read_text};
use super::folder::Folder;
use super::view::OneGroup;
use crate::args::frost as args;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

/// What is asked before renewals are forgotten.
pub const ABANDON: &str = "Give up every other renewal of this group that is under way here? If another member has gone over to its end, \
                           its share does not sign with yours any more, and the key can be lost.";

/// What is asked before those are forgotten that another device key of a member makes useless.
fn abandon_begun(whose: &str) -> String {
    format!(
        "Give up every renewal of this group that was begun here with the present device key of {whose}? If another \
         member has gone over to its end, its share does not sign with yours any more, and the key can be lost."
    )
}

/// Where a ceremony among vaults stands.
#[derive(Serialize)]
struct Standing<'a> {
    done: bool,
    waiting_for: &'a [u16],
    /// Who has said different things in one step, where that stops nothing.
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    two_faced: &'a [u16],
    /// Whether the renewal leaves the shares of this vault out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dropped: bool,
    group: GroupView,
    #[serde(skip)]
    what: &'static str,
}

impl View for Standing<'_> {
    fn human(&self, style: Style) -> String {
        if self.done {
            return format!("{} {} is done here: epoch {}", style.tick(), self.what, self.group.epoch);
        }
        if self.dropped {
            let mine: Vec<String> = self.group.shares.iter().map(ToString::to_string).collect();
            return format!(
                "{} leaves out the shares of this vault ({}): nothing is to be done here. Once the others are through, delete them \
                 with `keep frost delete-share`.",
                self.what,
                mine.join(", ")
            );
        }
        let waiting: Vec<String> = self.waiting_for.iter().map(ToString::to_string).collect();
        format!(
            "{} waits for members {}. Run this again when their messages are there.",
            self.what,
            waiting.join(", ")
        )
    }
}

pub fn refresh(session: &Session, arguments: &args::Refresh) -> Result<(), Ending> {
    let keep = session.open()?;
    let frost = keep.frost();
    let group = frost.find(arguments.group.group.as_deref())?;
    let Some(directory) = &arguments.exchange.exchange else {
        let question = format!(
            "The shares of {} that are here are replaced by new ones; exported copies of the old ones are of no use \
             beside them. Go on?",
            group.name
        );
        agree(arguments.exchange.yes, &question, "nothing was renewed")?;
        let (this, drop) = (Some(group.pubkey.as_str()), arguments.drop.clone());
        let group = if arguments.abandon {
            agree(arguments.exchange.yes, ABANDON, "nothing was given up")?;
            frost.refresh_abandoning(this, drop)?
        } else {
            frost.refresh(this, drop)?
        };
        session.output.show(&OneGroup(&group))?;
        warn_of_old(session, &group);
        return Ok(());
    };
    let folder = Folder::open(directory)?;
    let this = Some(group.pubkey.as_str());
    let plan = inspect(session, &frost, this, None, &folder)?;
    let members: Vec<String> = plan.members.iter().map(ToString::to_string).collect();
    let kept = group.shares.is_empty() || group.shares.iter().any(|share| plan.members.contains(share));
    // What is given up is given up by a step, also where it has nothing to say.
    if plan.from.is_some() && !kept && !arguments.abandon {
        let (waiting_for, what) = (plan.members.as_slice(), "the refresh");
        return session.output.show(&Standing {
            done: false,
            waiting_for,
            two_faced: &[],
            dropped: true,
            group,
            what,
        });
    }
    let question = match plan.from {
        Some(from) => format!(
            "Member {from} proposes to renew the shares of {}; members {} keep one. Take part?",
            group.name,
            members.join(", ")
        ),
        None => format!("Propose to renew the shares of {}?", group.name),
    };
    agree(arguments.exchange.yes, &question, "nothing was renewed")?;
    let begin = plan.from.is_none();
    let begin = begin || !arguments.drop.is_empty();
    let (drop, texts) = (arguments.drop.clone(), folder.texts());
    let step = if arguments.abandon {
        agree(arguments.exchange.yes, ABANDON, "nothing was given up")?;
        frost.refresh_step_abandoning(this, begin, drop, texts)?
    } else {
        frost.refresh_step(this, begin, drop, texts)?
    };
    finish(session, &frost, &group, &folder, &step, "the refresh")?;
    if step.done {
        warn_of_old(session, &frost.find(this)?);
    }
    Ok(())
}

fn warn_of_old(session: &Session, group: &GroupView) {
    session.output.talk(&format!(
        "Delete every copy of the old shares, backups too: {} of them together still sign.",
        group.threshold
    ));
}

pub fn repair(session: &Session, arguments: &args::Repair) -> Result<(), Ending> {
    let keep = session.open()?;
    let frost = keep.frost();
    let group = frost.find(arguments.group.group.as_deref())?;
    let this = Some(group.pubkey.as_str());
    let Some(directory) = &arguments.exchange.exchange else {
        let question = format!("Make the share of member {} of {} again?", arguments.share, group.name);
        agree(arguments.exchange.yes, &question, "nothing was repaired")?;
        agree_to_abandon(arguments)?;
        let group = if arguments.abandon {
            frost.repair_abandoning(this, arguments.share)?
        } else {
            frost.repair(this, arguments.share)?
        };
        return session.output.show(&OneGroup(&group));
    };
    let folder = Folder::open(directory)?;
    if arguments.mine {
        agree_to_abandon(arguments)?;
        let (share, helpers, texts) = (arguments.share, arguments.helpers.clone(), folder.texts());
        let step = if arguments.abandon {
            frost.repair_own_abandoning(this, share, helpers, texts)?
        } else {
            frost.repair_own(this, share, helpers, texts)?
        };
        let is_plan = |name: &str| name.contains("-repair_plan-");
        if step.messages.iter().any(|message| is_plan(&message.name) && !folder.has(&message.name)) {
            folder.warn(session, &step.skipped);
            folder.expect_no_plan("repair_plan", &step.skipped)?;
        }
        return finish(session, &frost, &group, &folder, &step, "the repair");
    }
    let plan = inspect(session, &frost, this, Some(arguments.share), &folder)?;
    let Some(device) = &plan.device else {
        return Err(Fault::new(ErrorCode::NotFound, "nobody has asked for help with a repair here")
            .with_hint("the member that lost its share runs this with --mine first")
            .into());
    };
    let known = if plan.device_known {
        "which is its device by the roster"
    } else {
        "which is NOT its device by the roster: ask the member whether this is its new one"
    };
    let question = format!(
        "Help to make the share of member {} of {} again, for the device {device}, {known}. Whoever has that device \
         gets a share. Help?",
        arguments.share, group.name
    );
    agree(arguments.exchange.yes, &question, "nothing was repaired")?;
    agree_to_abandon(arguments)?;
    let step = if arguments.abandon {
        frost.repair_step_abandoning(this, arguments.share, folder.texts())?
    } else {
        frost.repair_step(this, arguments.share, folder.texts())?
    };
    finish(session, &frost, &group, &folder, &step, "the repair")
}

/// A share that is made again comes with another device key of its member.
fn agree_to_abandon(arguments: &args::Repair) -> Result<(), Ending> {
    if !arguments.abandon {
        return Ok(());
    }
    let question = abandon_begun(&format!("member {}", arguments.share));
    agree(arguments.exchange.yes, &question, "nothing was given up")
}

/// Reads the plan, and says what lies beside it that is no part of it.
fn inspect(
    session: &Session,
    frost: &Frost,
    group: Option<&str>,
    lost: Option<u16>,
    folder: &Folder,
) -> Result<PlanView, Fault> {
    let plan = frost.inspect_plan(group, lost, folder.texts())?;
    folder.warn(session, &plan.skipped);
    if let Some(wrong) = plan.wrong {
        return Err(Fault::from(wrong));
    }
    if plan.from.is_none() {
        folder.expect_no_plan(if lost.is_some() { "repair_plan" } else { "plan" }, &plan.skipped)?;
    }
    Ok(plan)
}

fn finish(
    session: &Session,
    frost: &Frost,
    group: &GroupView,
    folder: &Folder,
    step: &StepView,
    what: &'static str,
) -> Result<(), Ending> {
    folder.warn(session, &step.skipped);
    leave(folder.path(), &step.messages)?;
    if !step.two_faced.is_empty() {
        let members: Vec<String> = step.two_faced.iter().map(ToString::to_string).collect();
        session.output.warn(
            ErrorCode::Peer,
            &format!(
                "members {} have sent different messages for one step, and nobody else can have signed them: they cheat, or \
                 somebody has their device",
                members.join(", ")
            ),
            "the result is sound all the same; leave them out of the next renewal",
        );
    }
    if let Some(stopped) = &step.stopped {
        return Err(Fault::from(stopped.clone()).into());
    }
    folder.withdraw(step, &group.shares);
    if !step.done {
        folder.expect_readable(step)?;
    }
    let group = frost.find(Some(&group.pubkey))?;
    let (waiting_for, two_faced) = (step.waiting_for.as_slice(), step.two_faced.as_slice());
    session.output.show(&Standing { done: step.done, waiting_for, two_faced, dropped: false, group, what })
}

/// A new device key, with its notice.
#[derive(Serialize)]
struct Rotated {
    index: u16,
    device: String,
    notice: Option<String>,
}

impl View for Rotated {
    fn human(&self, _: Style) -> String {
        self.notice.clone().unwrap_or_else(|| self.device.clone())
    }
}

pub fn device(session: &Session, arguments: &args::Device) -> Result<(), Ending> {
    let mut trusted = BTreeMap::new();
    for text in &arguments.trust {
        let bad = || {
            Fault::new(ErrorCode::Usage, "a device key is given as INDEX=HEX")
                .with_hint("for example --trust 2=ab12…")
        };
        let (index, key) = text.split_once('=').ok_or_else(bad)?;
        trusted.insert(index.parse::<u16>().map_err(|_| bad())?, key.to_owned());
    }
    let notices = match &arguments.accept {
        Some(file) => {
            read_text(file)?.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
        }
        None => Vec::new(),
    };
    let keep = session.open()?;
    let frost = keep.frost();
    let group = arguments.group.group.as_deref();
    if let Some(index) = arguments.rotate {
        let rotated = if arguments.abandon {
            agree(arguments.yes, &abandon_begun(&format!("member {index}")), "nothing was given up")?;
            frost.rotate_device_abandoning(group, index)?
        } else {
            frost.rotate_device(group, index)?
        };
        session
            .output
            .talk("Give this to the other members, who take it with `keep frost device --accept FILE`:");
        return session.output.show(&Rotated { index, device: rotated.device, notice: rotated.notice });
    }
    if notices.is_empty() && trusted.is_empty() {
        return session.output.show(&super::view::WholeGroup(&frost.find(group)?));
    }
    let group = if arguments.abandon {
        agree(arguments.yes, &abandon_begun("a member whose key is taken now"), "nothing was given up")?;
        frost.take_devices_abandoning(group, notices, trusted)?
    } else {
        frost.take_devices(group, notices, trusted)?
    };
    session.output.show(&super::view::WholeGroup(&group))
}
