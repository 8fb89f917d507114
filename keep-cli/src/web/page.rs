//! How the page looks: no script, nothing from elsewhere.

use keep_sdk::{DisplayText, PendingView, counted};

use super::pages::Page;
use crate::screen::detail;

/// How it is painted.
pub const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;\
color:#111;background:#fff}dl{display:grid;grid-template-columns:8rem 1fr;gap:.2rem 1rem}dt{color:#555}\
dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}button{font:inherit;padding:.4rem .8rem;margin:.2rem}\
input{font:inherit;padding:.3rem}fieldset{border:1px solid #bbb;margin:1rem 0}.no{color:#900}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}dt{color:#aaa}.no{color:#f88}}";

/// The page about a request. Where something is left out, it leads to the page with all of it, and cannot say yes.
pub fn request(page: &Page, pending: &PendingView, is_whole: bool, error: Option<&str>) -> String {
    let mut rows = String::new();
    let is_cut = pending.not_shown > 0;
    for (label, text) in detail::rows(pending, "the link below shows all of it, and no yes counts before") {
        rows += &format!("<dt>{}</dt><dd>{}</dd>", escaped(&label), escaped(&text));
    }
    let error =
        error.map(|error| format!("<p class=no role=alert>{}</p>", escaped(error))).unwrap_or_default();
    let title = format!("{} asks", pending.asker);
    let rest = if is_cut {
        let left_out = counted(pending.not_shown, "character");
        format!(
            "<p><a href=\"/{}?{WHOLE}\">Show all of it</a>: {left_out} are not shown here. It can be approved there.</p>",
            escaped(&page.token)
        )
    } else {
        String::new()
    };
    let form = format!(
        "{rest}<form method=post autocomplete=off><input type=hidden name=seal value=\"{seal}\">\
         <p><label>Code that <code>keep serve</code> shows: <input name=code type=password autocomplete=one-time-code required></label></p>\
         <p><label>If you are not the owner, your name: <input name=person maxlength=64></label> (then your own code)</p>\
         <fieldset><legend>A lasting decision holds for</legend>\
         <label><input type=radio name=scope value=kind checked> this kind of request</label> \
         <label><input type=radio name=scope value=client> everything of this client</label></fieldset>\
         <p>{buttons}</p></form>",
        seal = escaped(seal_of(page, is_whole)),
        buttons = BUTTONS
            .iter()
            .filter(|(value, _)| !is_cut || value.starts_with("deny"))
            .map(|(value, label)| format!("<button name=action value={value}>{label}</button>"))
            .collect::<String>(),
    );
    document(&title, &format!("<h1>{}</h1>{error}<dl>{rows}</dl>{form}", escaped(&title)))
}

/// The question before everything of a client is allowed. The code is asked for once more: the page keeps none.
pub fn confirm(page: &Page, pending: &PendingView, is_whole: bool, action: &str) -> String {
    let title = format!("Allow everything that {} asks, whatever it is?", pending.asker);
    let how_long = BUTTONS.iter().find(|(value, _)| *value == action).map_or("", |(_, label)| label);
    let form = format!(
        "<form method=post autocomplete=off><input type=hidden name=seal value=\"{seal}\">\
         <input type=hidden name=action value=\"{action}\"><input type=hidden name=scope value=client>\
         <p><label>Code that <code>keep serve</code> shows, once more: <input name=code type=password autocomplete=one-time-code required></label></p>\
         <p><button name=sure value=yes>Yes, everything: {how_long}</button></p></form>\
         <p><a href=\"/{token}{query}\">No, back to the request</a></p>",
        query = if is_whole { format!("?{WHOLE}") } else { String::new() },
        seal = escaped(seal_of(page, is_whole)),
        action = escaped(action),
        how_long = escaped(how_long),
        token = escaped(&page.token),
    );
    document(&title, &format!("<h1>{}</h1>{form}", escaped(&title)))
}

/// What the query of the page says that leaves nothing out.
pub const WHOLE: &str = "whole";

fn seal_of(page: &Page, is_whole: bool) -> &str {
    if is_whole { &page.whole } else { &page.seal }
}

/// What can be done, the same as in the terminal.
const BUTTONS: [(&str, &str); 7] = [
    ("deny", "Deny"),
    ("deny-always", "Deny always"),
    ("once", "Approve once"),
    ("5m", "for 5 minutes"),
    ("1h", "for 1 hour"),
    ("1d", "for 1 day"),
    ("always", "Always"),
];

/// A page with a word and nothing to do.
pub fn word(title: &str, text: &str) -> String {
    document(title, &format!("<h1>{}</h1><p>{}</p>", escaped(title), escaped(text)))
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{} · Keep</title><style>{STYLE}</style><main>{body}</main></html>",
        escaped(title)
    )
}

/// Text that is text in HTML, and that shows what it hides.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in DisplayText::new(text).as_str().chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let page = word("<script>alert(1)</script>", "\"x\" & 'y' \u{202e}");
        assert!(!page.contains("<script") && !page.contains('\u{202e}'));
        assert!(
            page.contains("&lt;script&gt;") && page.contains("&quot;x&quot; &amp; &#39;y&#39; \\u{202e}")
        );
    }
}
