//! Exactly once when the process is killed: many clients over websockets that lose, repeat, reorder and break, and a bunker
//! that `kill -9` ends in the middle of it, again and again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod fire;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fire::{Client, check};
use keep_net::Transport;
use keep_net::testing::{FaultProxy, ProxyFaults};
use keep_nip46::BunkerUri;
use keep_nip46::server::{Limits as ServerLimits, Rate};
use keep_sdk::{
    BunkerOptions, EmbeddedRelay, Headless, Home, KdfCost, Keep, Limits, Name, Options, PoolOptions,
    RelayOptions, RelayPolicy, RelayPool, RelayUrl, SecretText, TokenTerms,
};

/// Set for the processes that this program starts of itself: the directory in which the vault is.
const DIRECTORY: &str = "KEEP_SDK_TEST_KILL_DIRECTORY";
const CLIENTS: usize = 10;
const KILLS: usize = 5;

/// Requests of each client.
fn requests() -> usize {
    if std::env::var_os("KEEP_SOAK").is_some() { 200 } else { 30 }
}

fn open(directory: &Path) -> Keep {
    Keep::open(Home::new(directory.join("vault")).unwrap(), &passphrase(), &options()).unwrap()
}

fn options() -> Options {
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    Options::default().allow_weak_kdf().kdf_cost(cheap)
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

/// A bunker until it is killed. Does nothing when the tests are run as usual.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_that_serves() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let keep = open(Path::new(&directory));
    let rate = Rate { per_second: 1 << 20, burst: 1 << 30 };
    let limits = ServerLimits { client: rate, strangers: rate, refusals: rate, ..ServerLimits::default() };
    let key = keep.keys().find(None).unwrap();
    let options = BunkerOptions { limits, ..BunkerOptions::default() };
    let _serving = keep.bunker(Arc::new(Headless)).serve(&key, options).await.unwrap();
    std::future::pending::<()>().await;
}

/// The bunker's process.
struct Process(Child);

impl Process {
    fn start(directory: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process_that_serves", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn();
        Self(child.unwrap())
    }

    /// `kill -9`, and no goodbye.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn pool(url: &str) -> Arc<dyn Transport> {
    let pool = RelayPool::new(PoolOptions::default()).unwrap();
    pool.add(RelayUrl::parse(url).unwrap(), RelayPolicy { allow_private: true });
    Arc::new(pool)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_bunker_answers_everything_once() {
    let directory = tempfile::tempdir().unwrap();
    let keep =
        Keep::create(Home::new(directory.path().join("vault")).unwrap(), &passphrase(), &options()).unwrap();
    keep.keys().generate(Name::new("main").unwrap()).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let relay = EmbeddedRelay::bind(address, RelayOptions::default()).await.unwrap();
    let upstream: SocketAddr =
        relay.url().to_string().trim_start_matches("ws://").trim_end_matches('/').parse().unwrap();
    let weather = ProxyFaults {
        drop: 40,
        duplicate: 60,
        reorder: 60,
        disconnect: 2,
        max_delay: Duration::from_millis(4),
    };
    let of_bunker = FaultProxy::start(upstream, 1, weather).await.unwrap();
    let of_clients = FaultProxy::start(upstream, 2, weather).await.unwrap();
    let terms = TokenTerms {
        key: None,
        policy: "full".to_owned(),
        name: None,
        uses: u32::try_from(CLIENTS).unwrap(),
        seconds: None,
        relays: vec![RelayUrl::parse(&of_bunker.url()).unwrap()],
        limits: Limits::default(),
    };
    let token = keep.nip46().create_token(terms).unwrap();
    let uri = BunkerUri::parse(&token.bunker_url).unwrap();
    let secret = uri.secret().unwrap().to_owned();
    drop(keep);
    let done = Arc::new(AtomicUsize::new(0));
    let mut process = Process::start(directory.path());
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::new(&uri, pool(&of_clients.url()).await);
        client.patience = Duration::from_millis(400);
        clients.push(tokio::spawn(client.work(secret.clone(), requests(), Arc::clone(&done))));
    }
    let total = CLIENTS * requests();
    for kill in 1..=KILLS {
        while done.load(Ordering::Relaxed) < total * kill / (KILLS + 1) {
            assert!(!clients.iter().all(tokio::task::JoinHandle::is_finished), "the clients gave up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.kill();
        process = Process::start(directory.path());
    }
    let mut finished = Vec::new();
    for client in clients {
        finished.push(client.await.unwrap());
    }
    of_clients.set_faults(ProxyFaults::default());
    of_bunker.set_faults(ProxyFaults::default());
    // Answers that are sent again come after 2 and 10 seconds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    check(&mut finished, requests());
    process.kill();
    let keep = open(directory.path());
    let apps = keep.nip46().apps().unwrap();
    assert_eq!(apps.len(), CLIENTS);
    for app in apps {
        assert_eq!(app.uses, requests() as u64, "every use is counted once");
    }
    let entries = keep.audit().list(1_000_000).unwrap();
    let signed =
        entries.iter().filter(|entry| entry.action == "sign_event" && entry.outcome == "allowed").count();
    assert_eq!(signed, total, "every signature is recorded once");
    keep.audit().verify().unwrap();
}
