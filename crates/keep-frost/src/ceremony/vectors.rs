//! The crates' vectors of key generation, through our own rounds.

use std::collections::BTreeMap;

use frost_core::keys::dkg::round1;
use frost_core::keys::{CoefficientCommitment, VerifiableSecretSharingCommitment};
use rand_core::OsRng;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Plan;
use super::rounds::{Contribution, part2, part3};
use crate::suite::{Curve, element, identifier, scalar};
use crate::{DeviceKey, Index};

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn contribution(member: &Value) -> Contribution {
    let commitments = member["vss_commitments"].as_array().unwrap();
    Contribution::known(commitments.iter().map(bytes).collect(), bytes(&member["proof_of_knowledge"]))
}

fn run<C: Curve>(file: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let inputs = &vectors["inputs"];
    let indices: Vec<Index> = (1..=3).map(|n| Index::new(n).unwrap()).collect();
    let device = || DeviceKey::generate(&mut OsRng).unwrap().public();
    let plan =
        Plan::generate(C::SUITE, 2, indices.iter().map(|i| (*i, device())).collect(), &mut OsRng).unwrap();
    for me in &indices {
        let mine = &inputs[me.to_string()];
        let others: Vec<Index> = indices.iter().copied().filter(|other| other != me).collect();
        let coefficients =
            ["signing_key", "coefficient"].map(|name| scalar::<C>(&bytes(&mine[name])).unwrap());
        let committed = mine["vss_commitments"].as_array().unwrap().iter();
        let committed = committed.map(|c| CoefficientCommitment::new(element::<C>(&bytes(c)).unwrap()));
        let commitment = VerifiableSecretSharingCommitment::new(committed.collect());
        let id = identifier::<C>(*me).unwrap();
        let secret = round1::SecretPackage::new(id, coefficients.to_vec(), commitment, 2, 3);
        let contributions = others.iter().map(|other| (*other, contribution(&inputs[other.to_string()])));
        let part2 = part2::<C>(&plan, secret, &contributions.collect()).unwrap();
        for other in &others {
            let expected = &inputs[other.to_string()]["signing_shares"][me.to_string()];
            assert_eq!(part2.subshares[other].as_slice(), bytes(expected), "{me} to {other}");
        }
        let received: BTreeMap<Index, Zeroizing<[u8; 32]>> = others
            .iter()
            .map(|other| {
                let share = bytes(&mine["signing_shares"][other.to_string()]);
                (*other, Zeroizing::new(share.try_into().unwrap()))
            })
            .collect();
        let (key, public) = part3::<C>(&plan, *me, &part2, &received, None).unwrap();
        assert_eq!(key.signing_share().serialize(), bytes(&mine["signing_share"]));
        assert_eq!(public.verifying_key().serialize().unwrap(), bytes(&inputs["verifying_key"]));
        for member in &indices {
            let share = public.verifying_shares()[&identifier::<C>(*member).unwrap()];
            let expected = bytes(&inputs[member.to_string()]["verifying_share"]);
            assert_eq!(share.serialize().unwrap(), expected);
        }
    }
}

#[test]
fn key_generation_on_ed25519() {
    run::<frost_ed25519::Ed25519Sha512>("frost-ed25519/vectors_dkg.json");
}

#[test]
fn key_generation_on_secp256k1_tr() {
    run::<frost_secp256k1_tr::Secp256K1Sha256TR>("frost-secp256k1-tr/vectors_dkg.json");
}
