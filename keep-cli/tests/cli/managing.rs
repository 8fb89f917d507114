//! `keep nip46`, `policy`, `pending`, `approve` and `deny` while `keep serve` runs.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::serving::{Net, PATIENCE, Serving};
use crate::world::World;

/// A bunker that is neither at a terminal nor headless: what is to be asked waits for `keep approve`.
fn serve(world: &World, net: &Net) -> (Serving, Value) {
    let serving = Serving::of(world.command(&["--json", "serve", "--relay", &net.url()]));
    let first = serving.next();
    (serving, first)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn pending(world: &World) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let list = world.done(&["--json", "pending"]).json();
        if let Some(first) = list["pending"].as_array().and_then(|all| all.first()) {
            return first.clone();
        }
        assert!(Instant::now() < until, "nothing waits");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn clients_are_managed_while_the_bunker_serves() {
    let (world, net) = (World::with_key(), Net::new());
    let (_serving, first) = serve(&world, &net);
    let client = net.connect(text(&first["bunker_url"])).unwrap();
    let apps = world.done(&["--json", "nip46", "apps"]).json();
    let npub = text(&apps["apps"][0]["npub"]).to_owned();
    assert_eq!(
        (&apps["apps"][0]["claims"], &apps["apps"][0]["policy"]),
        (&"test application".into(), &"social".into())
    );
    // What serves has no end, and gets none from whoever unlocks.
    for arguments in [vec!["--json", "unlock"], vec!["--json", "unlock", "--for", "1s"]] {
        let status = world.done(&arguments).json();
        assert_eq!(
            (&status["serving"], &status["locks_in_seconds"]),
            (&true.into(), &Value::Null),
            "{status}"
        );
    }
    let granted = world.done(&[
        "--json",
        "nip46",
        "grant",
        &npub,
        "--name",
        "my-client",
        "--permissions",
        "get_public_key,sign_event",
        "--auto-approve-kinds",
        "1,7",
        "--duration",
        "forever",
    ]);
    assert_eq!(granted.json()["apps"][0]["name"], "my-client");
    net.sign(&client, 7, "+").unwrap();

    // Kind 0 waits for a person, and is decided from elsewhere.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| net.sign(&client, 0, "{}"));
        let one = pending(&world);
        assert_eq!(
            (&one["kind"], &one["kind_name"], &one["name"]),
            (&0.into(), &"profile".into(), &"my-client".into())
        );
        let settled = world.done(&["--json", "approve", text(&one["id"]), "--for", "always"]).json();
        assert_eq!(settled["settled"], true);
        waiting.join().unwrap().unwrap();
    });
    net.sign(&client, 0, "{\"name\":\"again\"}").expect("always means always");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| net.sign(&client, 3, ""));
        world.done(&["deny", text(&pending(&world)["id"])]);
        assert!(waiting.join().unwrap().is_err());
    });
    // A long text is cut in the list, which says so; it can be seen whole, harmless.
    let long = format!("{}\u{1b}[2Jthe end", "word ".repeat(2_500));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| net.sign(&client, 3, &long));
        let one = pending(&world);
        let id = text(&one["id"]);
        assert_eq!(one["not_shown"], 2_516);
        assert!(text(&one["content"]).ends_with("(2516 more characters that are not shown)"));
        assert!(text(&one["headline"]).contains("asks to sign an event of kind 3"), "{one}");
        let list = world.done(&["pending"]).stdout;
        assert!(list.contains("12116 more characters that are not shown"), "{list}");
        assert!(list.contains(&format!("`keep pending show {id}` shows all of it")), "{list}");
        assert!(list.contains("2023-11-14T22:13:20Z"), "{list}");
        let shown = world.done(&["pending", "show", &id[..6]]).stdout;
        assert!(shown.contains("word \\u{1b}[2Jthe end") && !shown.contains('\u{1b}'), "{shown}");
        assert!(!shown.contains("not shown"));
        let whole = world.done(&["--json", "nip46", "pending", "show", id]).json();
        assert_eq!((text(&whole["content"]).len(), &whole["not_shown"]), (12_516, &0.into()));
        assert_eq!(world.run(&["pending", "show", "zz"]).code, Some(3));
        world.done(&["deny", id]);
        assert!(waiting.join().unwrap().is_err());
    });
    let log = world.done(&["audit", "list", "--decision", "declined"]).stdout;
    assert!(log.contains("by owner:command"), "{log}");
    world.done(&["nip46", "auto-approve", "--kinds", "3"]);
    net.sign(&client, 3, "").unwrap();

    world.done(&["nip46", "stop"]);
    assert!(net.sign(&client, 1, "stopped").is_err());
    world.done(&["nip46", "resume"]);
    net.sign(&client, 1, "resumed").unwrap();
    world.done(&["nip46", "revoke", "my-client"]);
    assert!(net.sign(&client, 1, "revoked").is_err());
    assert_eq!(world.run(&["nip46", "revoke", "my-client"]).code, Some(3));
    assert_eq!(world.run(&["approve", "00000000"]).code, Some(3));
    world.done(&["audit", "verify"]);
}

#[test]
fn tokens_carry_named_policies_whose_changes_hold_at_once() {
    let (world, net) = (World::with_key(), Net::new());
    let file = world.path().join("p.toml");
    let write = |kinds: &str| {
        let rules = "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\"]\n";
        std::fs::write(
            &file,
            format!("name = \"p\"\n{rules}[[rule]]\neffect = \"allow\"\nkinds = [{kinds}]\n"),
        )
        .unwrap();
    };
    write("1");
    world.done(&["policy", "check", "p.toml"]);
    let (_serving, _) = serve(&world, &net);
    world.done(&["policy", "add", "p.toml"]);
    assert_eq!(world.run(&["policy", "add", "p.toml"]).code, Some(5), "it is there already");
    let token = world
        .done(&["--json", "nip46", "token", "create", "--policy", "p", "--uses", "1", "--expires", "30d"])
        .json();
    let client = net.connect(text(&token["bunker_url"])).unwrap();
    assert!(net.connect(text(&token["bunker_url"])).is_err(), "it has one use");
    net.sign(&client, 1, "one").unwrap();
    assert!(net.sign(&client, 7, "+").is_err());
    let simulated = |kinds: &str| {
        write(kinds);
        world.done(&["--json", "policy", "simulate", "--file", "p.toml", "--since", "1d"]).json()
    };
    assert_eq!(simulated("1")["differences"], Value::Array(vec![]));
    let difference = &simulated("7")["differences"];
    assert_eq!(
        (&difference[0]["was"], &difference[0]["would"]),
        (&"allow".into(), &"deny".into()),
        "{difference}"
    );
    // The limits of single rules count, too.
    write("1]\nlimits = { uses = 1 }\n# [");
    net.sign(&client, 1, "another").unwrap();
    let limited = world.done(&["--json", "policy", "simulate", "--file", "p.toml", "--since", "1d"]).json();
    let first = &limited["differences"][0];
    assert_eq!(limited["differences"].as_array().unwrap().len(), 1, "{limited}");
    assert_eq!((&first["would"], &first["was"]), (&"deny".into(), &"allow".into()), "{limited}");
    assert!(text(&first["because"]).contains("rule 2"), "{limited}");
    write("7");
    world.done(&["policy", "edit", "p", "--file", "p.toml"]);
    assert!(net.sign(&client, 1, "two").is_err());
    net.sign(&client, 7, "+").unwrap();
    let said = world.done(&["policy", "explain", "--policy", "p", "--kind", "1"]).stdout;
    assert!(said.starts_with("deny: no rule of policy p is about it"), "{said}");
    assert_eq!(world.run(&["policy", "remove", "p"]).code, Some(5), "it is in use");
    assert_eq!(world.run(&["policy", "show", "q"]).code, Some(3));
    std::fs::write(&file, "name = \"p\"\n[[rule]]\neffect = \"maybe\"\n").unwrap();
    assert_eq!(world.run(&["policy", "check", "p.toml"]).code, Some(5));
    let id = text(&token["id"]).to_owned();
    world.done(&["nip46", "token", "revoke", &id]);
    world.done(&["policy", "remove", "p"]);
}

#[test]
fn a_client_connects_by_a_picture_of_its_code() {
    let (world, net) = (World::with_key(), Net::new());
    let relay = net.url().replace(':', "%3A").replace('/', "%2F");
    let client = crate::world::PUBKEY;
    let text = format!("nostrconnect://{client}?relay={relay}&secret=0s8j2djs&name=picture");
    let code = qrcode::QrCode::new(&text).unwrap();
    let (scale, side) = (4, code.width() + 8);
    let dark = |x: usize, y: usize| {
        let at = |n: usize| (n / scale).checked_sub(4).filter(|n| *n < code.width());
        at(x).zip(at(y)).is_some_and(|place| code[place] == qrcode::Color::Dark)
    };
    let pixels: Vec<u8> = (0..side * scale)
        .flat_map(|y| (0..side * scale).map(move |x| (x, y)))
        .map(|(x, y)| if dark(x, y) { 0 } else { 255 })
        .collect();
    let mut bytes = Vec::new();
    let size = (side * scale) as u32;
    let mut encoder = png::Encoder::new(&mut bytes, size, size);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    std::fs::write(world.path().join("code.png"), &bytes).unwrap();
    let connected = world.done(&["--json", "nip46", "connect", "--qr", "code.png"]).json();
    assert_eq!((text_of(&connected["client"]), text_of(&connected["claims"])), (client, "picture"));
    std::fs::write(world.path().join("code.png"), &bytes[..60]).unwrap();
    assert_eq!(world.run(&["nip46", "connect", "--qr", "code.png"]).code, Some(5));
    assert_eq!(world.run(&["nip46", "connect", "--qr", "none.png"]).code, Some(3));
    assert_eq!(world.run(&["nip46", "connect"]).code, Some(2));
}

#[test]
fn an_address_without_a_secret_is_taken_only_if_that_is_said() {
    let (world, net) = (World::with_key(), Net::new());
    let client = crate::world::PUBKEY;
    let uri = format!("nostrconnect://{client}?metadata={{\"name\":\"old\"}}&relay={}", net.url());
    let refused = world.run(&["nip46", "connect", &uri]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains("a secret is required") && refused.stderr.contains("--without-secret"));
    let connected = world.done(&["--json", "nip46", "connect", &uri, "--without-secret"]).json();
    assert_eq!((text_of(&connected["client"]), text_of(&connected["claims"])), (client, "old"));
    assert_eq!(connected["serving"], false);
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn a_policy_for_the_command_line_holds_for_it() {
    let world = World::with_key();
    let sign = |kind: &str| world.run(&["sign-event", "--kind", kind, "--content", "x"]);
    assert_eq!(sign("7").code, Some(0));
    let text = "name = \"cli\"\notherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\n[[rule]]\neffect = \"ask\"\nkinds = [0]\n";
    std::fs::write(world.path().join("cli.toml"), text).unwrap();
    world.done(&["policy", "add", "cli.toml"]);
    assert_eq!(sign("1").code, Some(0));
    let refused = sign("7");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("denied by your policy cli"), "{}", refused.stderr);
    assert_eq!(sign("0").code, Some(1), "nobody can be asked");
    world.done(&["policy", "remove", "cli"]);
    assert_eq!(sign("7").code, Some(0));
}

#[test]
fn keep_is_a_client_of_other_bunkers_too() {
    let (world, net) = (World::with_key(), Net::new());
    let (_serving, first) = serve(&world, &net);
    let url = text(&first["bunker_url"]).to_owned();
    let call = |arguments: &[&str]| {
        let mut all = vec!["--json", "nip46", "call", "--client-key-file", "client.key", &url];
        all.extend(arguments);
        world.run(&all)
    };
    assert_eq!(call(&["ping"]).json()["result"], "pong");
    assert_eq!(call(&["get_public_key"]).json()["result"], crate::world::PUBKEY);
    let event = r#"{"kind":1,"content":"hello","tags":[],"created_at":1700000000}"#;
    let signed = call(&["sign_event", event]).json()["result"].clone();
    let signed: keep_sdk::Event = serde_json::from_value(signed).unwrap();
    signed.verify().unwrap();
    assert_eq!(call(&["fly"]).code, Some(2));
    // What the bunker refuses is a refusal, and no trouble with the network.
    let apps = world.done(&["--json", "nip46", "apps"]).json();
    world.done(&["nip46", "grant", text(&apps["apps"][0]["npub"]), "--permissions", "get_public_key"]);
    let refused = call(&["sign_event", event]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("\"code\":\"refused_by_policy\""), "{}", refused.stderr);
}
