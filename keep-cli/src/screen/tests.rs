//! What is drawn, and what keys do.

use keep_sdk::{BunkerView, DisplayText, PendingView};
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::draw::draw;
use super::key::Key;
use super::state::{Act, Entry, Mark, RelayLine, State, Tab};

const CLIENT: &str = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d";

fn address() -> BunkerView {
    BunkerView {
        bunker_url: format!("bunker://{CLIENT}?relay=wss%3A%2F%2Frelay.example&secret=abcdefghijklmnop"),
        npub: "npub1me".to_owned(),
        pubkey: CLIENT.to_owned(),
        relays: vec!["wss://relay.example".to_owned()],
        policy: "social".to_owned(),
        also_relays: Vec::new(),
    }
}

fn request(id: &str, kind: u16, content: &str) -> PendingView {
    PendingView {
        id: id.to_owned(),
        headline: "it asks".to_owned(),
        asker: keep_sdk::named(&"your bank\u{202e}\u{1b}[2J".into(), CLIENT),
        not_shown: 0,
        since: "2026-11-20T10:00:00Z".to_owned(),
        origin: "nip46".to_owned(),
        client: Some(CLIENT.to_owned()),
        client_npub: Some("npub1client".to_owned()),
        name: DisplayText::default(),
        claims: "your bank\u{202e}\u{1b}[2J".into(),
        key: "main".to_owned(),
        method: "sign_event".to_owned(),
        kind: Some(kind),
        kind_name: keep_sdk::kind_name(kind).map(str::to_owned),
        created_at: None,
        tags: vec![vec!["p".into(), CLIENT.into()], vec!["amount".into(), "21000".into()]],
        content: content.into(),
        peer: None,
        recipients: vec![CLIENT.into()],
        zap_millisats: (kind == 9734).then_some(21_000),
        spend: None,
        message: None,
        because: "no rule is about it".to_owned(),
        persons: 1,
        approved_by: Vec::new(),
    }
}

fn state(pending: Vec<PendingView>) -> State {
    let mut state = State::new(vec![address()], true);
    state.relays = vec![RelayLine {
        relay: "wss://relay.example".to_owned(),
        connected: true,
        state: "connected".to_owned(),
    }];
    state.take_pending(pending);
    look(&mut state, 0);
    state
}

/// A large window is drawn, and looked at since `now_ms`.
fn look(state: &mut State, now_ms: u64) {
    drawn(state, 160, 100);
    state.drawn(now_ms);
}

fn drawn(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let mut text = String::new();
    for row in 0..height {
        for column in 0..width {
            text.push_str(buffer[(column, row)].symbol());
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_request_is_shown_decoded_and_harmless() {
    let screen = drawn(&state(vec![request("aa01", 9734, "thanks\u{202e}\n!")]), 120, 30);
    for part in [
        "1 of 1 relay ",
        "Requests (1)",
        "sign_event 9734 zap request",
        "\"your bank\\u{202e}\\u{1b}[2J\" (3bf0c63f…aefa459d)",
        "amount     21 sat",
        "content    thanks\\u{202e}\\n!",
        "amount  21000",
        "why        no rule is about it",
        "[Y] approve once  [5] 5 min  [H] 1 h  [D] 1 day  [A] always   [N] deny  [X] deny always",
        "lasting for this kind of request",
    ] {
        assert!(screen.contains(part), "{part:?} is not in\n{screen}");
    }
    assert!(!screen.contains('\u{1b}') && !screen.contains('\u{202e}'));
}

#[test]
fn a_long_request_says_how_much_is_not_seen() {
    let mut state = state(vec![request("aa01", 1, &"word ".repeat(900))]);
    assert!(drawn(&state, 80, 24).contains("more lines below"));
    for _ in 0..40 {
        state.press(Key::PageDown, 0);
    }
    let screen = drawn(&state, 80, 24);
    assert!(!screen.contains("more lines below") && screen.contains("no rule is about it"), "{screen}");
}

/// However words fall on the rows, every part can be reached, and nothing is below that is not said to be.
#[test]
fn the_end_of_a_request_can_always_be_reached() {
    for (width, length) in [(80, 41), (80, 79), (80, 80), (80, 81), (41, 21), (100, 34)] {
        let words = vec!["x".repeat(length); 51].join(" ");
        let mut state = state(vec![request("aa01", 27235, &words)]);
        let mut screen = drawn(&state, width, 48);
        for _ in 0..40 {
            let at_end = screen.contains("no rule is about it");
            assert_eq!(!at_end, screen.contains("more lines below"), "{width} {length}\n{screen}");
            state.press(Key::PageDown, 0);
            screen = drawn(&state, width, 48);
        }
        assert!(screen.contains("no rule is about it"), "{width} {length}\n{screen}");
        assert!(!screen.contains("more lines below"));
    }
}

#[test]
fn every_part_is_drawn_in_every_size() {
    let mut state = state(vec![request("aa01", 1, "x"), request("aa02", 4, "y")]);
    state.tell(Entry {
        time: "10:00:00".to_owned(),
        mark: Mark::Good,
        text: "signed for somebody".to_owned(),
    });
    for tab in Tab::ALL {
        state.tab = tab;
        for (width, height) in [(1, 1), (39, 9), (40, 10), (80, 24), (300, 100)] {
            drawn(&state, width, height);
        }
    }
    state.tab = Tab::Activity;
    assert!(drawn(&state, 80, 24).contains("10:00:00 ✓ signed for somebody"));
    state.tab = Tab::Relays;
    assert!(drawn(&state, 80, 24).contains("✓ wss://relay.example  connected"));
    state.tab = Tab::Address;
    assert!(drawn(&state, 80, 24).contains("a larger window would show a QR code"));
    let large = drawn(&state, 180, 60);
    assert!(large.contains("secret=abcdefghijklmnop") && large.contains('▀'), "{large}");
}

fn decided(id: &str, approve: bool, seconds: Option<Option<u64>>, breadth: keep_sdk::Breadth) -> Option<Act> {
    let lasting = seconds.map(|seconds| keep_sdk::Lasting { breadth, seconds });
    Some(Act::Decide { id: id.to_owned(), approve, lasting })
}

#[test]
fn keys_decide_the_request_that_is_shown() {
    use keep_sdk::Breadth::{Client, Kind};
    let mut state = state(vec![request("aa01", 1, "x"), request("aa02", 4, "y")]);
    for (key, approve, seconds) in [
        ('y', true, None),
        ('5', true, Some(Some(300))),
        ('h', true, Some(Some(3_600))),
        ('d', true, Some(Some(86_400))),
        ('a', true, Some(None)),
        ('n', false, None),
        ('x', false, Some(None)),
    ] {
        assert_eq!(state.press(Key::Char(key), 1_000), decided("aa01", approve, seconds, Kind), "{key}");
    }
    state.press(Key::Down, 1_000);
    look(&mut state, 1_000);
    assert_eq!(state.press(Key::Char('n'), 2_000), decided("aa02", false, None, Kind));
    // For a whole client, approval is asked about once more.
    state.press(Key::Char('w'), 2_000);
    assert_eq!(state.press(Key::Char('x'), 2_000), decided("aa02", false, Some(None), Client));
    assert_eq!(state.press(Key::Char('a'), 2_000), None);
    assert!(drawn(&state, 100, 24).contains("Allow everything that \"your bank"));
    assert_eq!(state.press(Key::Escape, 2_000), None);
    assert_eq!(state.press(Key::Char('a'), 2_000), None);
    assert_eq!(state.press(Key::Char('y'), 2_001), None, "the question was not there yet");
    look(&mut state, 2_002);
    assert_eq!(state.press(Key::Char('y'), 2_001), None, "nor when this was pressed");
    assert_eq!(state.press(Key::Char('y'), 2_301), None, "a key that is held brings no yes to it");
    assert_eq!(state.press(Key::Char('y'), 2_600), None, "however long it is held");
    assert_eq!(state.press(Key::Char('y'), 2_900), decided("aa02", true, Some(None), Client));
}

#[test]
fn a_key_never_decides_what_was_not_read() {
    let mut state = state(vec![request("aa01", 1, "x")]);
    assert_eq!(state.press(Key::Char('y'), 100), None, "it has only just appeared");
    assert!(state.press(Key::Char('y'), 400).is_some());
    // More come: what is read stays under the cursor.
    state.take_pending(vec![request("aa00", 4, "w"), request("aa01", 1, "x")]);
    look(&mut state, 500);
    assert_eq!(state.press(Key::Char('y'), 501), decided("aa01", true, None, keep_sdk::Breadth::Kind));
    // It was decided elsewhere: the next one has to be read first, and a question about the first is void.
    state.press(Key::Char('w'), 600);
    state.press(Key::Char('a'), 600);
    state.take_pending(vec![request("aa00", 4, "w")]);
    look(&mut state, 700);
    assert_eq!(state.press(Key::Char('y'), 701), None);
    assert_eq!(state.shown.as_deref(), Some("aa00"));
    state.take_pending(Vec::new());
    look(&mut state, 800);
    assert_eq!(state.press(Key::Char('y'), 9_000), None);
    assert!(drawn(&state, 80, 24).contains("Nothing waits for you."));
}

/// However late a key is looked at: what counts is whether the request stood on the screen when it was pressed.
#[test]
fn a_key_from_before_a_request_appeared_does_not_decide_it() {
    let mut state = state(Vec::new());
    state.take_pending(vec![request("aa01", 1, "x")]);
    assert_eq!(state.press(Key::Char('y'), 90_000), None, "it is there, and not drawn");
    look(&mut state, 100_000);
    for pressed in [0, 99_999, 100_000, 100_299] {
        assert_eq!(state.press(Key::Char('y'), pressed), None, "{pressed}");
    }
    // A key that is held never was let go: it decides nothing, however long it is held.
    for held in (100_300..102_000).step_by(30) {
        assert_eq!(state.press(Key::Char('y'), held), None, "{held}");
    }
    assert_eq!(state.press(Key::Char('y'), 102_300), decided("aa01", true, None, keep_sdk::Breadth::Kind));
    // In another part of the screen nothing is read.
    state.tab = Tab::Activity;
    state.take_pending(vec![request("aa02", 1, "x")]);
    look(&mut state, 200_000);
    state.tab = Tab::Requests;
    assert_eq!(state.press(Key::Char('y'), 300_000), None);
    look(&mut state, 300_001);
    assert!(state.press(Key::Char('y'), 300_400).is_some());
}

#[test]
fn what_is_not_shown_is_said_with_where_it_is() {
    let cut = PendingView { not_shown: 12_345, ..request("aa01", 1, "x") };
    let screen = drawn(&state(vec![cut]), 120, 30);
    assert!(screen.contains("12345 characters in all; [Y] shows all of it"), "{screen}");
}

/// A small window, looked at since then.
fn glance(state: &mut State, now_ms: u64) -> String {
    let screen = drawn(state, 80, 24);
    state.drawn(now_ms);
    screen
}

fn unseen(pending: Vec<PendingView>) -> State {
    let mut state = State::new(vec![address()], true);
    state.take_pending(pending);
    glance(&mut state, 0);
    state
}

/// Goes on until nothing is below: a yes that comes too early leads to the next part. Gives the time.
fn read_on(state: &mut State, mut now_ms: u64) -> u64 {
    while glance(state, now_ms).contains("below: PgDn") {
        now_ms += 1_000;
        assert_eq!(state.press(Key::Char('y'), now_ms), None, "its end was not there yet");
        assert!(state.notice.take().is_some());
    }
    now_ms
}

#[test]
fn a_yes_counts_once_every_row_was_on_the_screen() {
    use keep_sdk::Breadth::Kind;
    let long = || vec![request("aa01", 1, &"word ".repeat(900))];
    let mut state = unseen(long());
    for key in ['y', '5', 'h', 'd', 'a'] {
        assert_eq!(state.press(Key::Char(key), 5_000), None, "{key}");
    }
    assert_eq!(state.press(Key::Char('n'), 5_000), decided("aa01", false, None, Kind), "a no always counts");
    // Rows that were passed by were not read.
    let mut state = unseen(long());
    for _ in 0..40 {
        state.press(Key::PageDown, 1_000);
    }
    assert!(!glance(&mut state, 1_000).contains("below: PgDn"));
    assert_eq!(state.press(Key::Char('y'), 9_000), None);
    // That went back to where the rest begins.
    let end = read_on(&mut state, 10_000);
    assert_eq!(state.press(Key::Char('y'), end + 299), None, "the end has only just appeared");
    assert_eq!(state.press(Key::Char('y'), end + 600), decided("aa01", true, None, Kind));
    let mut paged = unseen(long());
    while glance(&mut paged, 1_000).contains("below: PgDn") {
        paged.press(Key::PageDown, 1_000);
    }
    assert_eq!(paged.press(Key::Char('y'), 1_300), decided("aa01", true, None, Kind));
    // In another width the rows are others, and what was read stays read.
    assert!(drawn(&state, 50, 24).contains("below: PgDn"));
    state.drawn(90_000);
    assert_eq!(state.press(Key::Char('y'), 91_000), decided("aa01", true, None, Kind));
}

#[test]
fn a_yes_to_what_is_cut_shows_the_rest_first() {
    let whole = request("aa01", 1, &format!("{}end", "word ".repeat(4_000)));
    let cut = PendingView { not_shown: 10_003, ..request("aa01", 1, &"word ".repeat(2_000)) };
    let mut state = unseen(vec![cut.clone()]);
    assert!(glance(&mut state, 0).contains("[Y] show all of it   [N] deny"));
    for key in ['y', 'a'] {
        let all = Some(Act::ShowAll { id: "aa01".to_owned() });
        assert_eq!(state.press(Key::Char(key), 1_000), all);
    }
    // What comes too late, and is about another one, changes nothing.
    state.take_whole(request("aa02", 1, "other"));
    assert!(state.is_cut());
    state.take_whole(whole);
    let end = read_on(&mut state, 2_000);
    assert!(drawn(&state, 80, 24).contains("[Y] approve once"));
    // The list is looked at again all the time; what is read stays.
    state.take_pending(vec![cut]);
    assert_eq!(state.press(Key::Char('y'), end + 300), decided("aa01", true, None, keep_sdk::Breadth::Kind));
}

#[test]
fn the_kill_switch_asks_and_shows() {
    let mut state = state(Vec::new());
    assert_eq!(state.press(Key::Char('k'), 0), None);
    assert!(drawn(&state, 80, 24).contains("Stop answering every client?"));
    assert_eq!(state.press(Key::Char('y'), 0), Some(Act::Stop(true)));
    state.stopped = true;
    assert!(drawn(&state, 80, 24).contains("STOPPED"));
    assert_eq!(state.press(Key::Char('k'), 0), None);
    assert!(drawn(&state, 80, 24).contains("Answer all clients again?"));
    assert_eq!(state.press(Key::Char('y'), 0), Some(Act::Stop(false)));
    assert_eq!(state.press(Key::Char('q'), 0), Some(Act::Quit));
    assert_eq!(state.press(Key::Interrupt, 0), Some(Act::Quit));
}
