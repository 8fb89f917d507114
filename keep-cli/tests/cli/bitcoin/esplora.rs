//! Looking things up at an Esplora server: an honest one, those that lie, and those that do not answer.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bdk_wallet::bitcoin::consensus::encode::{deserialize_hex, serialize};
use bdk_wallet::bitcoin::{Psbt, Transaction};

use super::{Own, REGTEST, about, outcomes, payment, psbt, refusal, stranger};
use crate::daemon::Unlocked;
use crate::world::{Ran, World};

/// What the server does with a request.
#[derive(Clone)]
enum Reply {
    /// A status and a body.
    Body(u16, Vec<u8>),
    /// Nothing, for as long as the client waits.
    Silence,
    /// One byte now and then.
    Drip,
    /// More than anybody wants.
    Endless,
}

/// A server on this machine with an answer to each path, and 404 for every other one.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Server {
    fn new(answers: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (paths, ended, answers) = (Arc::clone(&asked), Arc::clone(&over), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (paths, ended, answers) = (Arc::clone(&paths), Arc::clone(&ended), Arc::clone(&answers));
                std::thread::spawn(move || serve(stream, &paths, &ended, &*answers));
            }
        });
        Self { url, asked, over }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches("/api"));
    }
}

fn serve(
    mut stream: TcpStream,
    paths: &Mutex<Vec<String>>,
    over: &AtomicBool,
    answers: &dyn Fn(&str) -> Reply,
) {
    let mut request = vec![0; 8192];
    let read = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    paths.lock().unwrap().push(path.clone());
    let reply = path.strip_prefix("/api").map_or(Reply::Body(404, Vec::new()), answers);
    let waits = |stream: &mut TcpStream, bytes: &[u8]| {
        std::thread::sleep(Duration::from_millis(100));
        !over.load(Ordering::Relaxed) && stream.write_all(bytes).is_ok()
    };
    match reply {
        Reply::Body(status, body) => {
            let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
        Reply::Silence => while waits(&mut stream, b"") {},
        Reply::Drip => while waits(&mut stream, b"H") {},
        Reply::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let part = vec![b'x'; 1 << 16];
            while stream.write_all(&part).is_ok() {}
        }
    }
}

/// A transaction that paid to us, and a PSBT that spends it without saying what it spends.
fn unsaid(world: &World, sats: u64) -> (Transaction, Psbt) {
    let own = Own::of(world, false, 0);
    let mut previous = psbt(&[(&own, 1)], &[(stranger(3), 7), (own.script(), sats)]).unsigned_tx;
    previous.lock_time = bdk_wallet::bitcoin::absolute::LockTime::from_consensus(7);
    let mut spending = psbt(&[(&own, sats)], &[(stranger(9), sats - 1_000)]);
    spending.unsigned_tx.input[0].previous_output =
        bdk_wallet::bitcoin::OutPoint { txid: previous.compute_txid(), vout: 1 };
    spending.inputs[0].witness_utxo = None;
    (previous, spending)
}

fn sign(world: &World, psbt: &Psbt, url: &str, more: &[&str]) -> Ran {
    about(world, "sign", psbt, &[&["--esplora", url], more].concat())
}

#[test]
fn previous_transactions_are_fetched_where_it_is_wanted_and_only_there() {
    let vault = Unlocked::new();
    let world = &vault.0;
    let (previous, spending) = unsaid(world, 50_000);
    let path = format!("/tx/{}/raw", previous.compute_txid());
    let (raw, wanted) = (serialize(&previous), path.clone());
    let server = Server::new(move |asked| match asked {
        asked if asked == wanted => Reply::Body(200, raw.clone()),
        _ => Reply::Body(404, Vec::new()),
    });
    // Without the flag nothing is contacted, and nothing signed.
    let said = refusal(&about(world, "sign", &spending, &[]), 5);
    assert!(said.contains("input 0: the PSBT does not say what this input spends"), "{said}");
    let seen = about(world, "analyze", &spending, &[]).json();
    assert_eq!(super::codes(&seen), ["missing_prevout"]);
    // Nor where the PSBT says everything, with the flag.
    let ran = sign(world, &payment(world, stranger(9), 10_000, 500), &server.url, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.asked(), Vec::<String>::new());

    let seen = about(world, "analyze", &spending, &["--esplora", &server.url]).json();
    assert_eq!((&seen["facts"]["leaving_sats"], &seen["facts"]["fee_sats"]), (&50_000.into(), &1_000.into()));
    let signed = sign(world, &spending, &server.url, &["--finalize"]).json();
    let tx: Transaction = deserialize_hex(signed["transaction"].as_str().unwrap()).unwrap();
    assert_eq!(tx.compute_txid(), spending.unsigned_tx.compute_txid());
    assert_eq!(tx.input[0].witness.len(), 1);
    // It was asked for that transaction alone, once for each command.
    let path = format!("/api{path}");
    assert_eq!(server.asked(), [path.clone(), path]);
}

#[test]
fn a_server_that_lies_or_fails_gets_nothing_signed() {
    let world = World::with_key();
    let (previous, spending) = unsaid(&world, 50_000);
    // A transaction that would make the coin look larger has another id.
    let mut richer = previous.clone();
    richer.output[1].value = bdk_wallet::bitcoin::Amount::from_sat(5_000_000);
    let long = vec![b'0'; 5 << 20];
    for (reply, reason) in [
        (Reply::Body(200, serialize(&richer)), "another transaction than it was asked for"),
        (Reply::Body(200, serialize(&previous)[..40].to_vec()), "something that is no transaction"),
        (Reply::Body(200, [serialize(&previous), vec![0]].concat()), "something that is no transaction"),
        (Reply::Body(200, Vec::new()), "something that is no transaction"),
        (Reply::Body(404, b"Transaction not found".to_vec()), "it does not know /tx/"),
        (Reply::Body(500, b"out of\x1b[31m order".to_vec()), "500 out of\\u{1b}[31m order"),
        (Reply::Body(302, b"elsewhere".to_vec()), "302 elsewhere"),
        (Reply::Body(200, long), "the answer is too large"),
        (Reply::Endless, "the answer is too large"),
    ] {
        let server = Server::new(move |_| reply.clone());
        let said = refusal(&sign(&world, &spending, &server.url, &["-o", "out.psbt"]), 6);
        assert!(said.contains(reason), "{said}");
        assert_eq!(server.asked().len(), 1, "{reason}");
    }
    assert!(!world.path().join("out.psbt").exists());
    assert_eq!(outcomes(&world), Vec::<String>::new());
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let world = World::with_key();
    let (_, spending) = unsaid(&world, 50_000);
    for (reply, reason) in [(Reply::Silence, "no answer"), (Reply::Drip, "the answer takes too long")] {
        let server = Server::new(move |_| reply.clone());
        let began = Instant::now();
        let said = refusal(&sign(&world, &spending, &server.url, &["--timeout", "1"]), 6);
        assert!(said.contains(reason), "{said}");
        assert!(began.elapsed() >= Duration::from_secs(1), "{said}");
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = refusal(&sign(&world, &spending, &format!("http://127.0.0.1:{port}"), &[]), 6);
    assert!(said.contains(&format!("127.0.0.1:{port}: connection refused")), "{said}");
    for bad in ["esplora", "ftp://127.0.0.1", "http://user:secret@127.0.0.1", "http://127.0.0.1/?a=b"] {
        assert_eq!(sign(&world, &spending, bad, &[]).code, Some(5), "{bad}");
    }
    assert_eq!(sign(&world, &spending, "http://127.0.0.1:1", &["--timeout", "0"]).code, Some(2));
    assert_eq!(about(&world, "sign", &spending, &["--timeout", "5"]).code, Some(2));
    assert_eq!(outcomes(&world), Vec::<String>::new());
}

/// What the server says of an address.
fn stats(confirmed: (u64, u64), pending: (u64, u64)) -> Reply {
    let part = |(came, went): (u64, u64)| {
        let transactions = u64::from(came > 0) + u64::from(went > 0);
        serde_json::json!({ "funded_txo_sum": came, "spent_txo_sum": went, "tx_count": transactions })
    };
    let body = serde_json::json!({ "chain_stats": part(confirmed), "mempool_stats": part(pending) });
    Reply::Body(200, body.to_string().into_bytes())
}

fn balance(world: &World, url: &str) -> Ran {
    world.run(&[&["--json", "bitcoin", "balance", "--esplora", url], &REGTEST[..]].concat())
}

#[test]
fn balances_are_those_of_every_address_that_may_have_been_used() {
    let world = World::with_key();
    let address = |change, index| Own::of(&world, change, index).address;
    let mut known: BTreeMap<String, Reply> = BTreeMap::new();
    let mut knows =
        |change, index, reply| known.insert(format!("/address/{}", address(change, index)), reply);
    knows(false, 0, stats((30_000, 10_000), (0, 5_000)));
    knows(false, 7, stats((0, 0), (4_000, 0)));
    // Beyond the first twenty, within twenty of one that was used.
    knows(false, 25, stats((500, 0), (0, 0)));
    knows(true, 1, stats((1_000, 1_000), (0, 0)));
    // Beyond a gap: nobody looks there.
    knows(true, 40, stats((1_000_000, 0), (0, 0)));
    let server = Server::new(move |path| known.get(path).cloned().unwrap_or_else(|| stats((0, 0), (0, 0))));
    let view = balance(&world, &server.url).json();
    assert_eq!((&view["confirmed_sats"], &view["pending_sats"]), (&20_500.into(), &(-1_000).into()));
    let used = view["used"].as_array().unwrap().iter();
    let used: Vec<_> =
        used.map(|own| (own["branch"].as_str().unwrap(), own["index"].as_u64().unwrap())).collect();
    assert_eq!(used, [("receive", 0), ("receive", 7), ("receive", 25), ("change", 1)]);
    let asked = server.asked();
    assert!(asked.iter().all(|path| path.starts_with("/api/address/bcrt1p")), "{asked:?}");
    assert_eq!(asked.len(), 46 + 22);
    let human = world.done(&[&["bitcoin", "balance", "--esplora", &server.url], &REGTEST[..]].concat());
    assert!(human.stdout.starts_with("20500 sats\n-1000 sats wait for a block\n"), "{human:?}");
}

#[test]
fn balances_that_cannot_be_are_refused() {
    let world = World::with_key();
    let json = |body: &str| Reply::Body(200, body.as_bytes().to_vec());
    let sums = |count: u64| {
        let part = format!(r#"{{"funded_txo_sum":1,"spent_txo_sum":0,"tx_count":{count}}}"#);
        format!(r#"{{"chain_stats":{part},"mempool_stats":{part}}}"#)
    };
    for (reply, reason) in [
        (stats((1, 2), (0, 0)), "amounts that cannot be"),
        (stats((u64::MAX, 0), (0, 0)), "amounts that cannot be"),
        (json("{}"), "something that is no address"),
        (json("no JSON"), "something that is no address"),
        (Reply::Body(404, Vec::new()), "it does not know /address/"),
        // Every address is used: there is an end all the same, and counters at their limit are no bug of ours.
        (json(&sums(u64::MAX)), "that every address is used, without end"),
    ] {
        let server = Server::new(move |_| reply.clone());
        let said = refusal(&balance(&world, &server.url), 6);
        assert!(said.contains(reason), "{said}");
    }
}
