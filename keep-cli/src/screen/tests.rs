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
    state.drawn(0);
    state
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
        "1 of 1 relays",
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
    state.drawn(1_000);
    assert_eq!(state.press(Key::Char('n'), 2_000), decided("aa02", false, None, Kind));
    // For a whole client, approval is asked about once more.
    state.press(Key::Char('w'), 2_000);
    assert_eq!(state.press(Key::Char('x'), 2_000), decided("aa02", false, Some(None), Client));
    assert_eq!(state.press(Key::Char('a'), 2_000), None);
    assert!(drawn(&state, 100, 24).contains("Allow everything that \"your bank"));
    assert_eq!(state.press(Key::Escape, 2_000), None);
    assert_eq!(state.press(Key::Char('a'), 2_000), None);
    assert_eq!(state.press(Key::Char('y'), 2_001), None, "the question was not there yet");
    state.drawn(2_002);
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
    state.drawn(500);
    assert_eq!(state.press(Key::Char('y'), 501), decided("aa01", true, None, keep_sdk::Breadth::Kind));
    // It was decided elsewhere: the next one has to be read first, and a question about the first is void.
    state.press(Key::Char('w'), 600);
    state.press(Key::Char('a'), 600);
    state.take_pending(vec![request("aa00", 4, "w")]);
    state.drawn(700);
    assert_eq!(state.press(Key::Char('y'), 701), None);
    assert_eq!(state.shown.as_deref(), Some("aa00"));
    state.take_pending(Vec::new());
    state.drawn(800);
    assert_eq!(state.press(Key::Char('y'), 9_000), None);
    assert!(drawn(&state, 80, 24).contains("Nothing waits for you."));
}

/// However late a key is looked at: what counts is whether the request stood on the screen when it was pressed.
#[test]
fn a_key_from_before_a_request_appeared_does_not_decide_it() {
    let mut state = state(Vec::new());
    state.take_pending(vec![request("aa01", 1, "x")]);
    assert_eq!(state.press(Key::Char('y'), 90_000), None, "it is there, and not drawn");
    state.drawn(100_000);
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
    state.drawn(200_000);
    state.tab = Tab::Requests;
    assert_eq!(state.press(Key::Char('y'), 300_000), None);
    state.drawn(300_001);
    assert!(state.press(Key::Char('y'), 300_400).is_some());
}

#[test]
fn what_is_not_shown_is_said_with_where_it_is() {
    let cut = PendingView { not_shown: 12_345, ..request("aa01", 1, "x") };
    let screen = drawn(&state(vec![cut]), 120, 30);
    assert!(screen.contains("12345 characters in all; `keep pending show aa01` shows all of it"), "{screen}");
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
