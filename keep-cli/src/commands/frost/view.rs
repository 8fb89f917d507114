//! Groups as people see them.

use keep_sdk::counted;
use keep_sdk::frost::{CosignerView, GroupView, ImportView, SignatureView, SplitView, VerifiedView};
use serde::Serialize;

use crate::output::View;
use crate::style::Style;

/// One group.
#[derive(Serialize)]
#[serde(transparent)]
pub struct OneGroup<'a>(pub &'a GroupView);

impl View for OneGroup<'_> {
    fn human(&self, style: Style) -> String {
        line(self.0, style)
    }
}

fn line(group: &GroupView, style: Style) -> String {
    let shares: Vec<String> = group.shares.iter().map(ToString::to_string).collect();
    let here = if shares.is_empty() {
        "no shares here".to_owned()
    } else {
        format!("shares {} here", shares.join(", "))
    };
    let status = match group.status.as_str() {
        "active" => String::new(),
        other => format!(", {}", style.yellow(&other.replace('_', " "))),
    };
    format!(
        "{}  {}  {}{status}",
        style.bold(&group.name),
        group.npub,
        style.dim(&format!(
            "{} of {}, {}, epoch {}, {here}",
            group.threshold,
            group.members.len(),
            group.suite,
            group.epoch
        ))
    )
}

/// Everything about one group.
#[derive(Serialize)]
#[serde(transparent)]
pub struct WholeGroup<'a>(pub &'a GroupView);

impl View for WholeGroup<'_> {
    fn human(&self, style: Style) -> String {
        let group = self.0;
        let mut lines = vec![line(group, style)];
        let mut row =
            |label: &str, text: &str| lines.push(format!("  {} {text}", style.dim(&format!("{label:10}"))));
        row("pubkey", &group.pubkey);
        row("group key", &group.group_key);
        row("made by", &group.provenance);
        if let Some(xpub) = &group.xpub {
            row("xpub", xpub);
        }
        if let Some(minisign) = &group.minisign {
            row("minisign", minisign);
        }
        for member in &group.members {
            let here = if member.here { "here  " } else { "      " };
            let device = member.device.as_deref().unwrap_or("no device key");
            row(
                &format!("member {}", member.index),
                &format!("{here}{}  {}", member.verifying_share, style.dim(device)),
            );
        }
        for grant in &group.grants {
            let line = format!("member {} may have signed here: {}", grant.member, granted(grant));
            lines.push(format!("  {} {line}", style.dim("grant     ")));
        }
        lines.join("\n")
    }
}

/// What a grant allows, in words.
fn granted(grant: &CosignerView) -> String {
    let mut what = Vec::new();
    if let Some(kinds) = &grant.events {
        let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        let of = if kinds.is_empty() { String::new() } else { format!(" of kinds {}", kinds.join(", ")) };
        what.push(format!("events{of}"));
    }
    if grant.raw {
        what.push("raw bytes".to_owned());
    }
    if grant.transactions {
        what.push("transactions within the limits".to_owned());
    }
    let until = grant.until.as_ref().map_or_else(String::new, |until| format!("; until {until}"));
    let uses = grant.uses_left.map_or_else(String::new, |uses| format!("; {}", counted(uses, "more time")));
    let dead = if grant.alive { "" } else { "; dead: given for another device, or in another vault" };
    format!("{}{until}{uses}{dead}", what.join(", "))
}

/// All groups.
#[derive(Serialize)]
pub struct GroupList<'a> {
    pub groups: &'a [GroupView],
}

impl View for GroupList<'_> {
    fn human(&self, style: Style) -> String {
        self.groups.iter().map(|group| line(group, style)).collect::<Vec<_>>().join("\n")
    }
}

/// A key that was split.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Split<'a>(pub &'a SplitView);

impl View for Split<'_> {
    fn human(&self, style: Style) -> String {
        let original = if self.0.original_kept {
            "the key itself is still in the vault"
        } else {
            "the key itself is deleted"
        };
        format!("{}\n{} {original}", line(&self.0.group, style), style.tick())
    }
}

/// Shares that came in.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Imported<'a>(pub &'a ImportView);

impl View for Imported<'_> {
    fn human(&self, style: Style) -> String {
        let shares: Vec<String> = self.0.imported.iter().map(ToString::to_string).collect();
        let what = match shares.as_slice() {
            [] => "the group".to_owned(),
            [one] => format!("share {one}"),
            more => format!("shares {}", more.join(", ")),
        };
        format!("{} took in {what}\n{}", style.tick(), line(&self.0.group, style))
    }
}

/// A signature, alone on its line.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Signature<'a>(pub &'a SignatureView);

impl View for Signature<'_> {
    fn human(&self, _: Style) -> String {
        self.0.signature.clone()
    }
}

/// A signature that verifies.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Verified<'a>(pub &'a VerifiedView);

impl View for Verified<'_> {
    fn human(&self, style: Style) -> String {
        let comment = self.0.trusted_comment.as_deref().map(|comment| {
            format!("\n{} {}", style.dim("trusted comment:"), keep_sdk::DisplayText::new(comment))
        });
        let comment = comment.unwrap_or_default();
        format!("{} valid signature of {} ({}){comment}", style.tick(), self.0.pubkey, self.0.suite)
    }
}
