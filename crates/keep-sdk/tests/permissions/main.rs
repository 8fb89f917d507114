//! What clients may do is managed while the bunker serves, and holds at once: over the relay, for requests that wait, when
//! many come at the limit, and after a restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod pairing;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keep_sdk::{
    Attendance, Breadth, BunkerOptions, BunkerUri, EmbeddedRelay, ErrorCode, EventTemplate, Fault,
    GrantDuration, GrantTerms, Home, KdfCost, Keep, Lasting, Limits, Name, Options, Permissions, Permitted,
    PoolOptions, RelayOptions, RelayPolicy, RelayPool, RemoteSigner, Scheme, SecretKey32, SecretText,
    Serving, TokenTerms, TokenView, Transport,
};

const NOW: u64 = 1_700_000_000;

struct World {
    directory: tempfile::TempDir,
    keep: Keep,
    relay: EmbeddedRelay,
}

fn options() -> Options {
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    Options::default().allow_weak_kdf().kdf_cost(cheap)
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("vault")).unwrap();
        let keep = Keep::create(home, &passphrase(), &options()).unwrap();
        keep.keys().generate(Name::new("main").unwrap()).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let relay = EmbeddedRelay::bind(address, RelayOptions::default()).await.unwrap();
        Self { directory, keep, relay }
    }

    /// Serves, and somebody can be asked.
    async fn serve(&self) -> (Serving, Attendance) {
        let key = self.keep.keys().find(Some("main")).unwrap();
        let queue = self.keep.approvals().unwrap();
        let attendance = queue.attend();
        (self.keep.bunker(queue).serve(&key, BunkerOptions::default()).await.unwrap(), attendance)
    }

    /// The same vault in a new process, as far as it can tell.
    fn reopened(self) -> Self {
        drop(self.keep);
        let home = Home::new(self.directory.path().join("vault")).unwrap();
        Self { keep: Keep::open(home, &passphrase(), &options()).unwrap(), ..self }
    }

    fn token(&self, policy: &str) -> TokenView {
        self.token_with(policy, 1, None, Limits::default())
    }

    fn token_with(&self, policy: &str, uses: u32, seconds: Option<u64>, limits: Limits) -> TokenView {
        let terms = TokenTerms {
            key: None,
            policy: policy.to_owned(),
            name: Some("app".to_owned()),
            uses,
            seconds,
            relays: vec![self.relay.url().clone()],
            limits,
        };
        self.keep.nip46().create_token(terms).unwrap()
    }

    async fn client(&self, token: &TokenView) -> Result<RemoteSigner, Fault> {
        self.client_as(token, None).await
    }

    async fn client_as(&self, token: &TokenView, key: Option<&SecretKey32>) -> Result<RemoteSigner, Fault> {
        let pool = RelayPool::new(PoolOptions::default()).unwrap();
        pool.add(self.relay.url().clone(), RelayPolicy { allow_private: true });
        let uri = BunkerUri::parse(&token.bunker_url).unwrap();
        RemoteSigner::connect_as(&uri, Arc::new(pool) as Arc<dyn Transport>, "test app", key).await
    }

    /// Waits until somebody is asked; the id of the request.
    async fn asked(&self) -> String {
        for _ in 0..2_400 {
            if let Some(one) = self.keep.inbox().pending().unwrap().first() {
                return one.id.clone();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("nobody was asked");
    }
}

async fn sign(client: &RemoteSigner, kind: u16, text: &str) -> Result<(), Fault> {
    client.sign_event(EventTemplate::new(kind, text, vec![], NOW)).await.map(drop)
}

fn refused(outcome: Result<(), Fault>, part: &str) {
    let fault = outcome.unwrap_err();
    assert!(fault.message().contains(part), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_named_policy_holds_at_once_and_after_a_restart() {
    let world = World::new().await;
    let policies = world.keep.policies();
    policies.put("name = \"mine\"\notherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\", \"sign_event\"]\nkinds = [1]\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\"]", false).unwrap();
    let (serving, _attendance) = world.serve().await;
    let client = world.client(&world.token("mine")).await.unwrap();
    sign(&client, 1, "one").await.unwrap();
    refused(sign(&client, 7, "+").await, "refused_by_policy");
    policies
        .put("name = \"mine\"\notherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [7]", true)
        .unwrap();
    refused(sign(&client, 1, "two").await, "refused_by_policy");
    sign(&client, 7, "+").await.unwrap();
    assert!(policies.remove("mine").is_err(), "it is in use");
    serving.stop().await.unwrap();
    let world = world.reopened();
    let (_serving, _attendance) = world.serve().await;
    sign(&client, 7, "after the restart").await.unwrap();
    refused(sign(&client, 1, "three").await, "refused_by_policy");
    assert!(world.keep.audit().verify().unwrap().entries > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_one_rule_holds_for_it_alone_and_after_a_restart() {
    let world = World::new().await;
    let policies = world.keep.policies();
    let text = "name = \"few\"\notherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\"]\n\
                [[rule]]\neffect = \"allow\"\nkinds = [1]\nlimits = { uses = 2 }\n[[rule]]\neffect = \"allow\"\nkinds = [7]";
    policies.put(text, false).unwrap();
    let (serving, _attendance) = world.serve().await;
    let client = world.client(&world.token("few")).await.unwrap();
    let many = futures_of(&client, 1, 8).await;
    assert_eq!(many, 2, "they came at the same time");
    refused(sign(&client, 1, "more").await, "all 2 uses are spent, by rule 2 of the policy");
    sign(&client, 7, "+").await.unwrap();
    serving.stop().await.unwrap();
    let world = world.reopened();
    let (_serving, _attendance) = world.serve().await;
    refused(sign(&client, 1, "after the restart").await, "all 2 uses are spent, by rule 2 of the policy");
    sign(&client, 7, "-").await.unwrap();
}

/// How many of `count` requests at the same time succeed.
async fn futures_of(client: &RemoteSigner, kind: u16, count: usize) -> usize {
    let texts: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    let asked = texts.iter().map(|text| sign(client, kind, text));
    futures_util::future::join_all(asked).await.into_iter().filter(Result::is_ok).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_as_often_as_it_says_and_ends_when_it_says() {
    let world = World::new().await;
    let (_serving, _attendance) = world.serve().await;
    let once = world.token("full");
    let key = RemoteSigner::fresh_key().unwrap();
    let first = world.client_as(&once, Some(&key)).await.unwrap();
    refused(world.client(&once).await.map(drop), "invalid_secret");
    world.client_as(&once, Some(&key)).await.expect("the same client may repeat its connect");
    let twice = world.token_with("full", 2, None, Limits::default());
    world.client(&twice).await.unwrap();
    world.client(&twice).await.unwrap();
    refused(world.client(&twice).await.map(drop), "invalid_secret");
    // Long enough for a machine that is busy.
    let short = world.token_with("full", 5, Some(12), Limits::default());
    let brief = world.client(&short).await.unwrap();
    sign(&brief, 1, "in time").await.unwrap();
    let mut after = sign(&brief, 1, "perhaps in time").await;
    for _ in 0..240 {
        if after.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        after = sign(&brief, 1, "perhaps in time").await;
    }
    refused(after, "expired");
    refused(world.client(&short).await.map(drop), "invalid_secret");
    // A token that is withdrawn takes its clients along.
    sign(&first, 1, "before").await.unwrap();
    world.keep.nip46().revoke_token(&once.id).unwrap();
    let late = tokio::time::timeout(Duration::from_secs(3), sign(&first, 1, "after")).await;
    assert!(!matches!(late, Ok(Ok(()))), "a withdrawn token still signs");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_cannot_exceed_a_limit() {
    let world = World::new().await;
    let (_serving, _attendance) = world.serve().await;
    let limits = Limits { uses: Some(6), ..Limits::default() };
    let client = world.client(&world.token_with("full", 1, None, limits)).await.unwrap();
    // Asking for the public key was the first use.
    let many = (0..30).map(|n| {
        let text = format!("note {n}");
        let client = &client;
        async move { sign(client, 1, &text).await.is_ok() }
    });
    let signed = futures_util::future::join_all(many).await.into_iter().filter(|ok| *ok).count();
    assert_eq!(signed, 5);
    assert_eq!(world.keep.nip46().apps().unwrap()[0].uses, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_decided_from_elsewhere_and_remembered() {
    let world = World::new().await;
    let (serving, _attendance) = world.serve().await;
    let client = Arc::new(world.client(&world.token("social")).await.unwrap());
    let waiting = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { sign(&client, 0, "{}").await })
    };
    let id = world.asked().await;
    sign(&client, 1, "a waiting request blocks nobody").await.unwrap();
    let pending = world.keep.inbox().pending().unwrap();
    assert_eq!((pending[0].kind, pending[0].kind_name.as_deref()), (Some(0), Some("profile")));
    assert_eq!(pending[0].claims.as_str(), "test app");
    let always = Lasting { breadth: Breadth::Kind, seconds: None };
    assert!(world.keep.inbox().decide(&id, true, Some(always)).unwrap().settled);
    waiting.await.unwrap().unwrap();
    sign(&client, 0, "{\"name\":\"again\"}").await.expect("the decision is remembered");
    // A remembered refusal.
    let waiting = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { sign(&client, 3, "").await })
    };
    let id = world.asked().await;
    world.keep.inbox().decide(&id, false, Some(always)).unwrap();
    refused(waiting.await.unwrap(), "refused_by_person");
    refused(sign(&client, 3, "again").await, "refused_by_policy");
    serving.stop().await.unwrap();
    let world = world.reopened();
    let (_serving, _attendance) = world.serve().await;
    sign(&client, 0, "{\"name\":\"later\"}").await.expect("remembered after a restart");
    refused(sign(&client, 3, "later").await, "refused_by_policy");
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_holds_for_requests_that_wait() {
    let world = World::new().await;
    let (_serving, _attendance) = world.serve().await;
    let client = Arc::new(world.client(&world.token("social")).await.unwrap());
    let waiting = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { sign(&client, 0, "{}").await })
    };
    let id = world.asked().await;
    world.keep.nip46().revoke("app").unwrap();
    world.keep.inbox().decide(&id, true, None).unwrap();
    refused(waiting.await.unwrap(), "not_connected");
    assert!(world.keep.nip46().apps().unwrap().is_empty());
    let entries = world.keep.audit().list(10).unwrap();
    assert!(entries.iter().all(|entry| entry.kind != Some(0) || entry.outcome != "approved"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_persons_have_to_approve() {
    let world = World::new().await;
    let policies = world.keep.policies();
    policies.put("name = \"joint\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\"]\n[[rule]]\neffect = \"ask\"\nkinds = [1]\napproval = \"two_persons\"", false).unwrap();
    let code = policies.add_person("bob").unwrap();
    let (_serving, _attendance) = world.serve().await;
    let client = Arc::new(world.client(&world.token("joint")).await.unwrap());
    let waiting = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { sign(&client, 1, "both").await })
    };
    let (id, inbox) = (world.asked().await, world.keep.inbox());
    let first = inbox.decide(&id, true, None).unwrap();
    assert_eq!((first.settled, first.needs), (false, 1));
    assert!(!inbox.decide(&id, true, None).unwrap().settled, "one person is not two");
    let wrong = inbox.vote(&id, true, "bob", SecretText::from("00".repeat(32)));
    assert_eq!(wrong.unwrap_err().code(), ErrorCode::RefusedByPolicy);
    assert!(inbox.vote(&id, true, "bob", code).unwrap().settled);
    waiting.await.unwrap().unwrap();
}

/// A yes counts while the person who said it may approve: not after that, and not for another one of the same name.
#[tokio::test(flavor = "multi_thread")]
async fn the_yes_of_somebody_who_was_removed_does_not_count() {
    let world = World::new().await;
    let policies = world.keep.policies();
    policies.put("name = \"joint\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\"]\n[[rule]]\neffect = \"ask\"\nkinds = [1]\napproval = \"two_persons\"", false).unwrap();
    let bob = policies.add_person("bob").unwrap();
    let carol = policies.add_person("carol").unwrap();
    let (_serving, _attendance) = world.serve().await;
    let client = Arc::new(world.client(&world.token("joint")).await.unwrap());
    let waiting = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { sign(&client, 1, "both").await })
    };
    let (id, inbox) = (world.asked().await, world.keep.inbox());
    assert!(!inbox.vote(&id, true, "bob", bob).unwrap().settled);
    assert_eq!(inbox.pending().unwrap()[0].approved_by, ["bob"]);
    policies.remove_person("bob").unwrap();
    assert!(inbox.pending().unwrap()[0].approved_by.is_empty());
    // Another one of the name is somebody else, and came after it was asked.
    tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let code = policies.add_person("bob").unwrap();
            let said = inbox.vote(&id, true, "bob", code);
            policies.remove_person("bob").unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            match said {
                // In the same second nobody can tell which was first.
                Ok(vote) => assert_eq!((vote.settled, vote.needs), (false, 1)),
                Err(fault) => {
                    break assert!(fault.message().contains("only what was asked later"), "{fault}");
                }
            }
        }
    })
    .await
    .unwrap();
    let first = inbox.decide(&id, true, None).unwrap();
    assert_eq!((first.settled, first.needs), (false, 1), "bob's does not count");
    assert!(inbox.vote(&id, true, "carol", carol).unwrap().settled);
    waiting.await.unwrap().unwrap();
    let entry = world.keep.audit().list(20).unwrap().into_iter().find(|entry| entry.outcome == "approved");
    let by = format!("{:?}", entry.unwrap().by);
    assert!(by.contains("carol") && !by.contains("bob"), "{by}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_given_changed_and_suspended_and_the_kill_switch_stops_all() {
    let world = World::new().await;
    let (_serving, _attendance) = world.serve().await;
    let client = world.client(&world.token("full")).await.unwrap();
    let nip46 = world.keep.nip46();
    let terms = |permissions: &str, kinds: &[u16]| GrantTerms {
        client: "app".to_owned(),
        key: None,
        name: Some("my-client".to_owned()),
        permitted: Some(Permitted::Methods {
            permissions: Permissions::parse(permissions).unwrap(),
            auto_approve: kinds.to_vec(),
        }),
        duration: None,
        unlimited: false,
        limits: Limits::default(),
        suspended: None,
    };
    nip46.grant(terms("get_public_key,sign_event:7", &[])).unwrap();
    refused(sign(&client, 1, "x").await, "refused_by_policy");
    sign(&client, 7, "+").await.unwrap();
    let renamed = GrantTerms { client: "my-client".to_owned(), ..terms("sign_event", &[1]) };
    nip46.grant(renamed).unwrap();
    sign(&client, 1, "x").await.unwrap();
    let peer = *client.public_key();
    let sealed = client.encrypt(Scheme::Nip44, peer, SecretText::from("x".to_owned())).await;
    refused(sealed.map(drop), "refused_by_policy");
    assert_eq!(nip46.stop(true).unwrap().addresses, 1);
    refused(sign(&client, 1, "y").await, "not_connected");
    nip46.stop(false).unwrap();
    sign(&client, 1, "z").await.unwrap();
    let suspended = GrantTerms {
        client: "my-client".to_owned(),
        suspended: Some(true),
        permitted: None,
        ..terms("sign_event", &[1])
    };
    nip46.grant(suspended).unwrap();
    refused(sign(&client, 1, "w").await, "suspended");
    // What is not named stays as it was: another name gives nothing back.
    let renamed = |name: &str| GrantTerms {
        client: "my-client".to_owned(),
        name: Some(name.to_owned()),
        permitted: None,
        ..terms("sign_event", &[1])
    };
    nip46.grant(renamed("my-client")).unwrap();
    refused(sign(&client, 1, "w").await, "suspended");
    let twice = GrantTerms {
        duration: Some(GrantDuration::Seconds(3_600)),
        limits: Limits { uses: Some(2), ..Limits::default() },
        ..renamed("my-client")
    };
    nip46.grant(GrantTerms { permitted: terms("sign_event", &[1]).permitted, ..twice }).unwrap();
    sign(&client, 1, "1").await.unwrap();
    sign(&client, 1, "2").await.unwrap();
    refused(sign(&client, 1, "3").await, "uses are spent");
    let view = nip46.grant(renamed("my-client")).unwrap().remove(0);
    assert!(view.expires_at.is_some(), "{view:?}");
    refused(sign(&client, 1, "4").await, "uses are spent");
    let lifted =
        GrantTerms { unlimited: true, duration: Some(GrantDuration::Forever), ..renamed("my-client") };
    assert!(nip46.grant(lifted).unwrap().remove(0).expires_at.is_none());
    sign(&client, 1, "5").await.unwrap();
    let idle = GrantTerms { client: "my-client".to_owned(), ..terms("get_public_key", &[1]) };
    assert_eq!(nip46.grant(idle).unwrap_err().code(), keep_sdk::ErrorCode::Usage);
    // A client that is not connected yet is granted something ahead, and needs no secret then.
    let key = RemoteSigner::fresh_key().unwrap();
    let spent = world.token("read-only");
    world.client(&spent).await.unwrap();
    refused(world.client_as(&spent, Some(&key)).await.map(drop), "invalid_secret");
    let public = public_of(&key);
    let ahead = GrantTerms { client: public.clone(), name: None, ..terms("get_public_key,sign_event", &[1]) };
    nip46.grant(ahead).unwrap();
    assert_eq!(nip46.auto_approve(Some(&public), &[7]).unwrap().len(), 1);
    let known = world.client_as(&spent, Some(&key)).await.unwrap();
    sign(&known, 7, "+").await.unwrap();
    sign(&known, 1, "hello").await.unwrap();
    nip46.revoke(&public).unwrap();
    refused(world.client_as(&spent, Some(&key)).await.map(drop), "invalid_secret");
}

fn public_of(key: &SecretKey32) -> String {
    let secret = secp256k1::SecretKey::from_slice(key.expose()).unwrap();
    hex::encode(secret.x_only_public_key(secp256k1::SECP256K1).0.serialize())
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintexts_that_the_policy_withholds_are_not_released() {
    let world = World::new().await;
    world.keep.policies().put("name = \"lists\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\", \"nip44_encrypt\"]\n[[rule]]\neffect = \"allow\"\nmethods = [\"nip44_decrypt\"]\nplaintext = [\"tags\"]\n[[rule]]\neffect = \"deny\"\nmethods = [\"nip44_decrypt\"]", false).unwrap();
    let (_serving, _attendance) = world.serve().await;
    let client = world.client(&world.token("lists")).await.unwrap();
    let me = *client.public_key();
    let round = async |text: &str| {
        let sealed = client.encrypt(Scheme::Nip44, me, SecretText::from(text.to_owned())).await.unwrap();
        client.decrypt(Scheme::Nip44, me, sealed).await
    };
    assert_eq!(round("[[\"p\",\"ab\"]]").await.unwrap().expose(), "[[\"p\",\"ab\"]]");
    let fault = round("a letter").await.unwrap_err();
    assert!(fault.message().contains("does not release"), "{fault}");
    assert!(!fault.message().contains("letter"));
}

/// One call of a client that is connected already, as it stands on the wire.
async fn raw(world: &World, token: &TokenView, key: &SecretKey32, method: &str, params: &[&str]) -> String {
    use keep_nip46::message::{CallId, Outcome, Reply, write_call};
    let transport = keep_nip46::TransportKey::new(key).unwrap();
    let uri = BunkerUri::parse(&token.bunker_url).unwrap();
    let pool = RelayPool::new(PoolOptions::default()).unwrap();
    pool.add(world.relay.url().clone(), RelayPolicy { allow_private: true });
    let filter = keep_net::Filter::new().kinds([nostr::Kind::NostrConnect]).to([*transport.public_key()]);
    let inbox = pool.subscribe(vec![filter], &keep_net::Relays::All);
    inbox.subscribed().await.unwrap();
    let mut random = [0; 80];
    getrandom::getrandom(&mut random).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let seal = keep_nip46::envelope::Seal {
        to: *uri.remote(),
        scheme: Scheme::Nip44,
        created_at: keep_sdk::Timestamp::from_secs(now),
        nonce: *random[..32].first_chunk().unwrap(),
        aux_rand: *random[32..64].first_chunk().unwrap(),
    };
    let id = CallId::from_random(random[64..].first_chunk().unwrap());
    let text = write_call(&id, method, params);
    let event = keep_nip46::envelope::seal(&transport, text.expose(), &seal).unwrap();
    let _ = pool.publish(&event, &keep_net::Relays::All);
    loop {
        let received = tokio::time::timeout(Duration::from_secs(20), inbox.recv()).await.unwrap().unwrap();
        let Ok(event) = received.event.into_claim() else { continue };
        let Ok(opened) = keep_nip46::envelope::open(&event, &transport) else { continue };
        let reply = Reply::parse(opened.verify().unwrap().plaintext.expose()).unwrap();
        if reply.id.to_text() == id.to_text() {
            return match reply.outcome {
                Outcome::Success(text) => text.expose().to_owned(),
                Outcome::Failure(text) | Outcome::Challenge(text) => format!("error {text}"),
            };
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_3_of_nip_44_is_a_permission_of_its_own() {
    let world = World::new().await;
    world.keep.policies().put("name = \"v3\"\notherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\", \"nip44_decrypt\"]\n[[rule]]\neffect = \"allow\"\nmethods = [\"nip44v3_encrypt\", \"nip44v3_decrypt\"]\nkinds = [30078]", false).unwrap();
    let (_serving, _attendance) = world.serve().await;
    let token = world.token("v3");
    let key = RemoteSigner::fresh_key().unwrap();
    let client = world.client_as(&token, Some(&key)).await.unwrap();
    let me = client.public_key().to_hex();
    drop(client);
    let sealed = raw(&world, &token, &key, "nip44v3_encrypt", &[&me, "30078", "notes", "aGVsbG8="]).await;
    assert!(!sealed.starts_with("error"), "{sealed}");
    let opened = raw(&world, &token, &key, "nip44v3_decrypt", &[&me, "30078", "notes", &sealed]).await;
    assert_eq!(opened, "aGVsbG8=");
    for (method, params, error) in [
        ("nip44v3_decrypt", [&*me, "30078", "others", &*sealed], "invalid_payload"),
        ("nip44v3_decrypt", [&*me, "1", "notes", &*sealed], "refused_by_policy"),
        ("nip44v3_encrypt", [&*me, "30078", "notes", "no base64!"], "invalid_input"),
        ("nip44v3_encrypt", [&*me, "kind", "notes", "aGVsbG8="], "invalid_input"),
        ("nip44_encrypt", [&*me, "hello", "", ""], "refused_by_policy"),
    ] {
        let said = raw(&world, &token, &key, method, &params).await;
        assert!(said.starts_with(&format!("error {error}")), "{method}: {said}");
    }
    let entries = world.keep.audit().list(20).unwrap();
    assert!(entries.iter().any(|entry| entry.action == "nip44v3_encrypt" && entry.kind == Some(30078)));
}
