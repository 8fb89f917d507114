//! How the screen looks.

use keep_sdk::{AppView, Breadth, counted};
use ratatui_core::layout::{Constraint, Layout, Rect};
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::terminal::Frame;
use ratatui_core::text::{Line, Span};
use ratatui_core::widgets::Widget;
use ratatui_widgets::block::Block;
use ratatui_widgets::borders::Borders;
use ratatui_widgets::paragraph::{Paragraph, Wrap};

use super::detail;
use super::state::{Entry, Mark, State, Tab};
use crate::qr;

/// The smallest window in which anything can be read.
const LEAST: (u16, u16) = (40, 10);
/// The width of labels.
const LABEL: usize = 10;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new("This window is too small. Q quits."), area);
        return;
    }
    let [title, tabs, body, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(4),
        Constraint::Length(3),
    ])
    .areas(area);
    frame.render_widget(title_line(state), title);
    frame.render_widget(tab_line(state), tabs);
    match state.tab {
        Tab::Requests => requests(frame, state, body),
        Tab::Activity => activity(frame, state, body),
        Tab::Clients => clients(frame, state, body),
        Tab::Relays => relays(frame, state, body),
        Tab::Address => address(frame, state, body),
    }
    frame.render_widget(foot(state), footer);
}

fn title_line(state: &State) -> Line<'static> {
    let up = state.relays.iter().filter(|relay| relay.connected).count();
    let mut parts = vec![
        Span::styled(" Keep ", CHOSEN),
        Span::raw(format!(
            " {up} of {}   {}   ",
            counted(state.relays.len(), "relay"),
            counted(state.apps.len(), "client")
        )),
    ];
    if state.stopped {
        parts.push(Span::styled("STOPPED: no client is answered", BOLD.fg(Color::Red)));
    }
    Line::from(parts)
}

fn tab_line(state: &State) -> Line<'static> {
    let tab = |tab: &Tab| {
        let count = match tab {
            Tab::Requests if !state.pending.is_empty() => format!(" ({})", state.pending.len()),
            _ => String::new(),
        };
        let style = if *tab == state.tab { CHOSEN } else { Style::new() };
        [Span::styled(format!(" {}{count} ", tab.title()), style), Span::raw(" ")]
    };
    Line::from(Tab::ALL.iter().flat_map(tab).collect::<Vec<_>>())
}

fn frame_of(title: &str) -> Block<'_> {
    Block::new().borders(Borders::TOP).title(title).border_style(DIM)
}

fn requests(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let Some(pending) = state.reading() else {
        let [words, log] = Layout::vertical([Constraint::Length(2), Constraint::Min(1)]).areas(area);
        frame.render_widget(Paragraph::new("Nothing waits for you.").block(frame_of("")), words);
        return activity(frame, state, log);
    };
    let height = u16::try_from(state.pending.len()).unwrap_or(u16::MAX).clamp(1, (area.height / 3).max(1));
    let [list, shown] = Layout::vertical([Constraint::Length(height + 1), Constraint::Min(3)]).areas(area);
    let at = state.at().unwrap_or_default();
    let line = |(number, one): (usize, &keep_sdk::PendingView)| {
        let style = if number == at { CHOSEN } else { Style::new() };
        Line::styled(format!(" {}  {}  {} ", one.id, detail::wish(one), one.asker), style)
    };
    let lines: Vec<Line<'_>> = state.pending.iter().enumerate().map(line).collect();
    let above = u16::try_from(at).unwrap_or(u16::MAX).saturating_sub(height - 1);
    frame.render_widget(Paragraph::new(lines).scroll((above, 0)).block(frame_of(" waiting ")), list);
    let rest = "[Y] shows all of it, and no yes counts before";
    let lines: Vec<Line<'_>> =
        detail::rows(pending, rest).into_iter().map(|(label, text)| row(label, text)).collect();
    scrolled(frame, lines, " request ", state, shown);
    let (first, end) = (state.scroll.min(state.deepest.get()), state.deepest.get() + state.window.get());
    state.seen.drawn(shown.width, first, (first + state.window.get()).min(end), end);
}

fn row(label: String, text: String) -> Line<'static> {
    Line::from(vec![Span::styled(format!(" {label:LABEL$} "), DIM), Span::raw(text)])
}

/// Lines of which the first are scrolled away, and a word about how many follow. What is counted is what is drawn, so that
/// no part of a request is out of reach.
fn scrolled(frame: &mut Frame<'_>, lines: Vec<Line<'_>>, title: &str, state: &State, area: Rect) {
    let inside = usize::from(area.height.saturating_sub(1));
    let lines: Vec<Line<'_>> = lines.iter().flat_map(|line| rows(line, area.width)).collect();
    let total = lines.len();
    let deepest = total.saturating_sub(inside);
    state.deepest.set(deepest);
    state.window.set(inside);
    let scroll = state.scroll.min(deepest);
    let below = total.saturating_sub(scroll + inside);
    let title = match below {
        0 => title.to_owned(),
        more => format!("{title}({} below: PgDn) ", counted(more, "more line")),
    };
    let shown = lines.into_iter().skip(scroll).take(inside).collect::<Vec<_>>();
    frame.render_widget(Paragraph::new(shown).block(frame_of(&title)), area);
}

/// A line as rows of at most this width, broken wherever one is full.
fn rows(line: &Line<'_>, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width.max(1));
    let mut rows = vec![Vec::new()];
    let mut used = 0;
    for span in &line.spans {
        let mut piece = String::new();
        for c in span.content.chars() {
            let wide = if matches!(c, ' '..='~') {
                1
            } else {
                Span::raw(c.encode_utf8(&mut [0; 4]).to_owned()).width()
            };
            if used + wide > width && used > 0 {
                if let Some(row) = rows.last_mut() {
                    row.push(Span::styled(std::mem::take(&mut piece), span.style));
                }
                rows.push(Vec::new());
                used = 0;
            }
            used += wide;
            piece.push(c);
        }
        if let Some(row) = rows.last_mut() {
            row.push(Span::styled(piece, span.style));
        }
    }
    rows.into_iter().map(|spans| Line::from(spans).style(line.style)).collect()
}

fn activity(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let lines: Vec<Line<'_>> = state.log.iter().rev().map(log_line).collect();
    scrolled(frame, lines, " activity, the latest first ", state, area);
}

fn log_line(entry: &Entry) -> Line<'static> {
    let mark = match entry.mark {
        Mark::Good => Span::styled("✓ ", Style::new().fg(Color::Green)),
        Mark::Bad => Span::styled("✗ ", Style::new().fg(Color::Red)),
        Mark::News => Span::styled("+ ", Style::new().fg(Color::Cyan)),
        Mark::Warning => Span::styled("! ", Style::new().fg(Color::Yellow)),
    };
    Line::from(vec![Span::styled(format!(" {} ", entry.time), DIM), mark, Span::raw(entry.text.clone())])
}

/// What a client is called: by the owner, or by itself in quotes, or by its key.
pub fn app_name(app: &AppView) -> String {
    let key = crate::key_view::short(&app.client);
    match (&app.name, &app.claims) {
        (Some(name), _) => format!("{} ({key})", keep_sdk::DisplayText::new(name)),
        (None, Some(claims)) => keep_sdk::named(claims, &app.client),
        (None, None) => key,
    }
}

fn clients(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let mut lines = Vec::new();
    for (number, app) in state.apps.iter().enumerate() {
        let style = if number == state.app { CHOSEN } else { BOLD };
        let flag = match (app.suspended, app.expired) {
            (true, _) => "  suspended",
            (false, true) => "  ended",
            (false, false) => "",
        };
        lines.push(Line::from(vec![Span::styled(format!(" {} ", app_name(app)), style), Span::raw(flag)]));
        let last = app.last_used.clone().unwrap_or_else(|| "never".to_owned());
        lines.push(Line::styled(
            format!(
                "   key {}   policy {}   used {}, last {last}",
                app.key,
                app.policy,
                counted(app.uses, "time")
            ),
            DIM,
        ));
    }
    if lines.is_empty() {
        lines.push(Line::raw(" No client is connected. The tab Address shows where to connect."));
    }
    let inside = area.height.saturating_sub(1);
    let above = u16::try_from(2 * state.app + 2).unwrap_or(u16::MAX).saturating_sub(inside);
    frame.render_widget(Paragraph::new(lines).scroll((above, 0)).block(frame_of(" clients ")), area);
}

fn relays(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let line = |relay: &super::state::RelayLine| {
        let colour = if relay.connected { Color::Green } else { Color::Yellow };
        let mark = if relay.connected { " ✓ " } else { " ! " };
        Line::from(vec![
            Span::styled(mark, Style::new().fg(colour)),
            Span::raw(format!("{}  ", relay.relay)),
            Span::styled(relay.state.clone(), DIM),
        ])
    };
    scrolled(frame, state.relays.iter().map(line).collect(), " relays ", state, area);
}

fn address(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let Some(view) = state.addresses.get(state.address) else { return };
    let of = if state.addresses.len() > 1 {
        format!(" {} of {} ", state.address + 1, state.addresses.len())
    } else {
        " paste it into an application; its secret works once ".to_owned()
    };
    let block = frame_of(&of);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let mut text = vec![
        row("identity".to_owned(), view.npub.clone()),
        row("policy".to_owned(), view.policy.clone()),
        row("address".to_owned(), view.bunker_url.clone()),
    ];
    if let Some((url, code)) = &state.page {
        text.push(row("approvals".to_owned(), format!("{url}, code {code}")));
    }
    let text: Vec<Line<'_>> = text.iter().flat_map(|line| rows(line, inner.width)).collect();
    let height = u16::try_from(text.len()).unwrap_or(u16::MAX).min(inner.height);
    let [words, code] = Layout::vertical([Constraint::Length(height + 1), Constraint::Min(0)]).areas(inner);
    frame.render_widget(Paragraph::new(text), words);
    let Some(lines) = qr::lines(&view.bunker_url, state.colour) else { return };
    let wide = lines.first().map_or(0, |line| line.chars().count());
    if lines.len() > usize::from(code.height) || wide + 2 > usize::from(code.width) {
        Line::styled(" a larger window would show a QR code here", DIM).render(code, frame.buffer_mut());
        return;
    }
    let paint = if state.colour { Style::new().fg(Color::Black).bg(Color::White) } else { Style::new() };
    let lines: Vec<Line<'_>> =
        lines.into_iter().map(|line| Line::from(vec![Span::raw("  "), Span::styled(line, paint)])).collect();
    frame.render_widget(Paragraph::new(lines), code);
}

fn foot(state: &State) -> Paragraph<'static> {
    let lines = match (&state.confirm, &state.notice) {
        (Some(confirm), _) => vec![Line::styled(format!(" {}", confirm.question), BOLD.fg(Color::Yellow))],
        (None, Some(notice)) => vec![Line::raw(format!(" {notice}")), Line::styled(keys(state), DIM)],
        (None, None) => match (state.tab, state.at()) {
            (Tab::Requests, Some(_)) => deciding(state),
            _ => vec![Line::styled(keys(state), DIM)],
        },
    };
    Paragraph::new(lines)
        .block(Block::new().borders(Borders::TOP).border_style(DIM))
        .wrap(Wrap { trim: false })
}

fn deciding(state: &State) -> Vec<Line<'static>> {
    let scope = match state.breadth {
        Breadth::Kind => "this kind of request",
        Breadth::Client => "everything of this client",
    };
    let keys = if state.is_cut() {
        " [Y] show all of it   [N] deny  [X] deny always"
    } else {
        " [Y] approve once  [5] 5 min  [H] 1 h  [D] 1 day  [A] always   [N] deny  [X] deny always"
    };
    vec![
        Line::styled(keys, BOLD),
        Line::styled(
            format!(" lasting for {scope} [W]   ↑↓ requests  PgDn more  Tab parts  [K] stop all  [Q] quit"),
            DIM,
        ),
    ]
}

fn keys(state: &State) -> String {
    let kill = if state.stopped { "[K] answer clients again" } else { "[K] stop all" };
    let own = match state.tab {
        Tab::Clients if !state.apps.is_empty() => "↑↓ clients  [R] disconnect  ",
        Tab::Address if state.addresses.len() > 1 => "↑↓ addresses  ",
        _ => "",
    };
    format!(" {own}Tab parts  {kill}  [Q] quit")
}
