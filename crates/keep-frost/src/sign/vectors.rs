//! RFC 9591's vectors (Ed25519) and those of the secp256k1-tr suite, through our own signer and coordinator.

use std::collections::BTreeMap;

use frost_core::keys::{PublicKeyPackage, VerifyingShare};
use frost_core::round1::{Nonce, SigningNonces};
use frost_core::{Group as _, VerifyingKey};
use rand_core::OsRng;
use serde_json::Value;

use super::signer::answer;
use super::{Coordinator, Package, Proposal, verify};
use crate::group::Provenance;
use crate::suite::{Curve, element, identifier, scalar};
use crate::{Group, Index, KeySpec, Message, Nonces, SecretShare};

fn hex32(value: &Value) -> [u8; 32] {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

fn index(value: &Value) -> Index {
    Index::new(value.as_u64().unwrap()).unwrap()
}

fn run<C: Curve>(file: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let inputs = &vectors["inputs"];
    let mut verifying = BTreeMap::new();
    for share in inputs["participant_shares"].as_array().unwrap() {
        let secret = scalar::<C>(&hex32(&share["participant_share"])).unwrap();
        let public = VerifyingShare::new(C::Group::generator() * secret);
        verifying.insert(identifier::<C>(index(&share["identifier"])).unwrap(), public);
    }
    let key = hex::decode(inputs["verifying_key_key"].as_str().unwrap()).unwrap();
    let key = VerifyingKey::new(element::<C>(&key).unwrap());
    let keys = PublicKeyPackage::new(verifying, key, Some(2));
    let group = Group::try_from(Group::from_keys::<C>(&keys, 2, 0, Provenance::Imported).unwrap()).unwrap();
    group.check().unwrap();

    let message = Message::Raw(hex::decode(inputs["message"].as_str().unwrap()).unwrap());
    let proposal = Proposal::new(&group, KeySpec::plain(), message.clone(), &mut OsRng).unwrap();
    let mut coordinator = Coordinator::new(&group, proposal.clone()).unwrap();
    let session = coordinator.session();
    let mut nonces = BTreeMap::new();
    for output in vectors["round_one_outputs"]["outputs"].as_array().unwrap() {
        let nonce = |name: &str| Nonce::<C>::deserialize(&hex32(&output[name])).unwrap();
        let known = Nonces::known(SigningNonces::from_nonces(nonce("hiding_nonce"), nonce("binding_nonce")));
        let from = index(&output["identifier"]);
        coordinator.commit(from, session, known.commitment().clone()).unwrap();
        nonces.insert(from, known);
    }
    let package: Package = coordinator.package().unwrap().clone();
    for output in vectors["round_two_outputs"]["outputs"].as_array().unwrap() {
        let me = index(&output["identifier"]);
        let shares = inputs["participant_shares"].as_array().unwrap();
        let mine = shares.iter().find(|s| index(&s["identifier"]) == me).unwrap();
        let share = SecretShare::new(&group, me, &mut hex32(&mine["participant_share"])).unwrap();
        let known = nonces.remove(&me).unwrap();
        let held = answer(&group, &share, &proposal, session, &package, known).unwrap();
        let burn = held.burn();
        let partial = held.release(&burn).unwrap();
        assert_eq!(hex::encode(partial.share), output["sig_share"].as_str().unwrap());
        coordinator.share(me, &partial).unwrap();
    }
    let signature = coordinator.finish().unwrap();
    assert_eq!(signature.to_string(), vectors["final_output"]["sig"].as_str().unwrap());
    verify(&group, &KeySpec::plain(), &message, &signature).unwrap();
}

#[test]
fn rfc_9591_ed25519() {
    run::<frost_ed25519::Ed25519Sha512>("frost-ed25519/vectors.json");
}

#[test]
fn secp256k1_tr() {
    run::<frost_secp256k1_tr::Secp256K1Sha256TR>("frost-secp256k1-tr/vectors.json");
}
