//! Requests are decided on a page in a browser.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use keep_sdk::RemoteSigner;
use serde_json::Value;

use crate::serving::{Net, PATIENCE, Serving, template};
use crate::world::World;

/// What a browser gets.
fn fetch(request: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

fn get(host: &str, path: &str, as_host: &str) -> (u16, String) {
    fetch(&format!("GET {path} HTTP/1.1\r\nHost: {as_host}\r\n\r\n"), host)
}

fn post(host: &str, path: &str, origin: &str, form: &str) -> (u16, String) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    fetch(&(head + form), host)
}

/// A bunker that has a page for requests, what it says of the page, and a client of it.
fn serve(world: &World, net: &Net) -> (Serving, Value, RemoteSigner) {
    let serving = Serving::of(world.command(&["--json", "serve", "--auth-url", "--relay", &net.url()]));
    let first = serving.next();
    let page = serving.next()["approval_page"].clone();
    let client = net.connect(first["bunker_url"].as_str().unwrap()).unwrap();
    (serving, page, client)
}

/// The address that the client was told.
fn told(client: &RemoteSigner) -> String {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(address) = client.challenge() {
            return address;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the client was told no address");
}

#[test]
fn a_request_is_decided_in_a_browser() {
    let (world, net) = (World::with_key(), Net::new());
    let (serving, page, client) = serve(&world, &net);
    let code = page["code"].as_str().unwrap();
    net.runtime
        .block_on(async {
            let signing = client.sign_event(template(0, "<script>alert(1)</script>"));
            let person = async {
                tokio::task::block_in_place(|| {
                    let address = told(&client);
                    let rest = address.strip_prefix("http://").unwrap();
                    let (host, path) = rest.split_at(rest.find('/').unwrap());
                    assert_eq!(format!("http://{host}"), page["url"].as_str().unwrap());
                    assert!(host.starts_with("127.0.0.1:") && path.len() == 65);
                    let (status, shown) = get(host, path, host);
                    assert_eq!(status, 200, "{shown}");
                    for part in [
                        "sign_event 0 profile",
                        "replaces your profile",
                        "&lt;script&gt;alert(1)",
                        "test application",
                        "default-src 'none'",
                    ] {
                        assert!(shown.contains(part), "{part}: {shown}");
                    }
                    assert!(!shown.contains("<script") && !shown.contains(code));
                    // Another name for this machine, another page, another code, no seal: nothing is decided.
                    assert_eq!(get(host, path, "evil.example").0, 421);
                    assert_eq!(get(host, "/", host).0, 404);
                    assert_eq!(get(host, &format!("/{}", "0".repeat(64)), host).0, 404);
                    let seal = shown.split("name=seal value=\"").nth(1).unwrap().split('"').next().unwrap();
                    let own = format!("http://{host}");
                    let form = format!("seal={seal}&code={code}&action=once");
                    // Everything of a client is asked about once more, and no code is on that page.
                    let wide = format!("seal={seal}&code={code}&action=always&scope=client");
                    let (status, sure) = post(host, path, &own, &wide);
                    assert_eq!(status, 200, "{sure}");
                    assert!(sure.contains("Allow everything that") && sure.contains("name=sure"), "{sure}");
                    assert!(!sure.contains(code) && !sure.contains("Approved"), "{sure}");
                    assert_eq!(get(host, path, host).0, 200, "it still waits");
                    assert_eq!(post(host, path, "http://evil.example", &form).0, 403);
                    assert_eq!(post(host, path, "null", &form).0, 403);
                    assert_eq!(post(host, path, &own, &format!("code={code}&action=once")).0, 403);
                    assert_eq!(
                        post(host, path, &own, &format!("seal={seal}&code=aaaa-bbbb-cccc&action=once")).0,
                        403
                    );
                    assert_eq!(post(host, path, &own, &format!("seal={seal}&code={code}&action=all")).0, 403);
                    let (status, said) = post(host, path, &own, &form);
                    assert_eq!(status, 200, "{said}");
                    assert!(said.contains("Approved"));
                    assert_eq!(get(host, path, host).0, 404, "it leads nowhere any more");
                });
            };
            tokio::join!(signing, person).0
        })
        .unwrap()
        .verify()
        .unwrap();
    // Refused for good.
    net.runtime
        .block_on(async {
            let signing = client.sign_event(template(3, ""));
            let before = client.challenge();
            let person = async {
                tokio::task::block_in_place(|| {
                    let until = Instant::now() + PATIENCE;
                    while client.challenge() == before && Instant::now() < until {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    let address = told(&client);
                    let rest = address.strip_prefix("http://").unwrap();
                    let (host, path) = rest.split_at(rest.find('/').unwrap());
                    let (_, shown) = get(host, path, host);
                    let seal = shown.split("name=seal value=\"").nth(1).unwrap().split('"').next().unwrap();
                    let form = format!("seal={seal}&code={code}&action=deny-always&scope=kind");
                    assert_eq!(post(host, path, &format!("http://{host}"), &form).0, 200);
                });
            };
            tokio::join!(signing, person).0
        })
        .unwrap_err();
    assert!(net.sign(&client, 3, "again").unwrap_err().message().contains("refused_by_policy"));
    // The log says who it was, and where.
    let log = world.done(&["--json", "audit", "list", "--action", "sign_event"]).json();
    let by: Vec<&str> =
        log["entries"].as_array().unwrap().iter().filter_map(|entry| entry["by"][0].as_str()).collect();
    assert_eq!(by, ["owner:page", "owner:page"], "{log}");
    drop(serving);
    world.done(&["audit", "verify"]);
}

/// What is cut on the page is approved on the page that shows all of it, and nowhere else.
#[test]
fn a_long_request_is_approved_where_all_of_it_is_shown() {
    let (world, net) = (World::with_key(), Net::new());
    let (_serving, page, client) = serve(&world, &net);
    let code = page["code"].as_str().unwrap();
    let text = format!("{} and send everything to me", "word ".repeat(2_400));
    let seal_of =
        |page: &str| page.split("name=seal value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    net.runtime
        .block_on(async {
            let signing = client.sign_event(template(0, &text));
            let person = async {
                tokio::task::block_in_place(|| {
                    let address = told(&client);
                    let rest = address.strip_prefix("http://").unwrap();
                    let (host, path) = rest.split_at(rest.find('/').unwrap());
                    let own = format!("http://{host}");
                    let (_, cut) = get(host, path, host);
                    assert!(cut.contains("Show all of it</a>: 2026 characters"), "{cut}");
                    assert!(!cut.contains("Approve once") && !cut.contains("send everything"), "{cut}");
                    assert!(cut.contains("value=deny>"), "{cut}");
                    for action in ["once", "5m", "always&scope=client&sure=yes"] {
                        let form = format!("seal={}&code={code}&action={action}", seal_of(&cut));
                        let (status, said) = post(host, path, &own, &form);
                        assert_eq!(status, 403, "{said}");
                        assert!(said.contains("was not shown"), "{said}");
                    }
                    let (_, whole) = get(host, &format!("{path}?whole"), host);
                    assert!(whole.contains("send everything to me") && whole.contains("Approve once"));
                    let form = format!("seal={}&code={code}&action=once", seal_of(&whole));
                    let (status, said) = post(host, path, &own, &form);
                    assert_eq!(status, 200, "{said}");
                });
            };
            tokio::join!(signing, person).0
        })
        .unwrap()
        .verify()
        .unwrap();
}
