//! A bunker whose owner takes too long to say whether it takes a client.

use keep_net::testing::{Faults, MemoryNetwork};
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{Call, Method, Reply};

use super::*;

/// Answers nothing but that it let a client go, which it never took.
async fn bunker(
    key: TransportKey,
    (transport, inbox): (impl Transport, Subscription),
    connects: oneshot::Sender<()>,
) {
    let mut connects = Some(connects);
    while let Some(received) = inbox.recv().await {
        let event = received.event.into_claim().unwrap();
        let message = envelope::open(&event, &key).unwrap().verify().unwrap();
        let call = Call::parse(message.plaintext.expose()).unwrap();
        match call.method {
            Method::Connect(_) => drop(connects.take().map(|connects| connects.send(()))),
            Method::Logout => {
                let (to, scheme) = (event.pubkey, message.scheme);
                let seal = Seal { to, scheme, created_at: now(), nonce: [1; 32], aux_rand: [2; 32] };
                let answer = envelope::seal(&key, Reply::ack(call.id).to_json().expose(), &seal).unwrap();
                let _ = transport.publish(&answer, &Relays::All);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_bunker_that_did_not_answer_may_list_the_client_although_it_lets_go_of_it() {
    let network = MemoryNetwork::new(1, Faults::default()).unwrap();
    let key = TransportKey::new(&RemoteSigner::fresh_key().unwrap()).unwrap();
    let uri = BunkerUri::new(*key.public_key(), vec!["ws://memory.invalid".parse().unwrap()], None).unwrap();
    let (connects, connected) = oneshot::channel();
    let filter = Filter::new().kinds([Kind::NostrConnect]).to([*key.public_key()]);
    let inbox = network.transport().subscribe(vec![filter], &Relays::All);
    let bunker = tokio::spawn(bunker(key, (network.transport(), inbox), connects));
    let ends = async {
        connected.await.unwrap();
        Fault::new(ErrorCode::TimedOut, "no answer came").with_hint("try again")
    };
    let (transport, key) = (Arc::new(network.transport()), RemoteSigner::fresh_key().unwrap());
    let begun = std::time::Instant::now();
    let met = RemoteSigner::connect_once(&uri, transport, "keep", &key, ends).await;
    let fault = met.unwrap_err();
    assert!(begun.elapsed() < LEAVES, "it has let go");
    assert!(fault.hint().starts_with("try again; ") && fault.hint().contains("may still list"), "{fault:?}");
    bunker.abort();
}
