//! Key material of other software: what it made signs here, what was changed is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use frost_core::keys::{IdentifierList, KeyPackage};
use keep_frost::import::*;
use keep_frost::sign::{Proposal, sign_local};
use keep_frost::*;
use rand_core::OsRng;
use serde_json::Value;
use support::*;
use zeroize::Zeroizing;

fn signs(group: &Group, shares: &[SecretShare]) {
    let message = Message::Raw(vec![7; 32]);
    let proposal = Proposal::new(group, KeySpec::plain(), message, &mut OsRng).unwrap();
    let shares: Vec<&SecretShare> = shares.iter().collect();
    let (signature, _) = sign_local(group, &shares, &proposal, &mut OsRng).unwrap();
    independent_verify(group.suite(), &group.public_key(), &[7; 32], &signature);
}

#[test]
fn bip445_groups_load_and_sign() {
    let read = |name: &str| -> Vec<Value> {
        let file: Value = serde_json::from_str(&full(&format!("bip445-frost-signing/{name}"))).unwrap();
        file["test_groups"].as_array().unwrap().clone()
    };
    let mut groups = read("sign_verify_vectors.json");
    assert!(groups.len() >= 4);
    // The other files have key material of their own; what only tests aggregation has no secret shares.
    for name in ["tweak_vectors.json", "det_sign_vectors.json", "sig_agg_vectors.json"] {
        if is_there(&format!("bip445-frost-signing/{name}")) {
            groups.extend(read(name).into_iter().filter(|group| group["secshares"].is_array()));
        }
    }
    for vector in &groups {
        let n = vector["n"].as_u64().unwrap() as usize;
        let bytes = |v: &Value| hex::decode(v.as_str().unwrap()).unwrap();
        let material = Bip445Group {
            threshold: vector["t"].as_u64().unwrap() as u16,
            threshold_key: bytes(&vector["thresh_pk"]).try_into().unwrap(),
            public_shares: vector["pubshares"].as_array().unwrap()[..n]
                .iter()
                .map(|v| bytes(v).try_into().unwrap())
                .collect(),
        };
        let secrets = || -> Vec<(u32, Zeroizing<[u8; 32]>)> {
            let list = vector["secshares"].as_array().unwrap()[..n].iter().enumerate();
            list.map(|(i, v)| (i as u32, Zeroizing::new(bytes(v).try_into().unwrap()))).collect()
        };
        let imported = import_bip445(&material, secrets()).unwrap();
        assert_eq!(imported.group.members()[0].index.get(), 1);
        signs(&imported.group, &imported.shares[..usize::from(material.threshold)]);
        signs(&imported.group, &imported.shares);

        // In a 1-of-n group all shares are the key itself, so nothing can be confused.
        if material.threshold > 1 {
            let mut wrong = secrets();
            wrong[0].0 = 1;
            let two = Index::new(2).unwrap();
            assert_eq!(import_bip445(&material, wrong).unwrap_err(), FrostError::ShareMismatch(two));
            let mut swapped = material.clone();
            swapped.public_shares.swap(0, 1);
            assert_eq!(import_bip445(&swapped, vec![]).unwrap_err(), FrostError::InconsistentGroup);
        }
    }
}

#[test]
fn frostr_is_for_migration_only() {
    let file: Value = serde_json::from_str(&full("frostr/alice-and-bob.json")).unwrap();
    let group = FrostrGroup::parse(file["group"].as_str().unwrap()).unwrap();
    let shares = || {
        let texts = file["shares"].as_array().unwrap().iter();
        texts.map(|s| FrostrShare::parse(s.as_str().unwrap()).unwrap()).collect::<Vec<_>>()
    };
    let imported = import_frostr(&group, shares()).unwrap();
    assert_eq!(imported.group.status(), Status::MustReshare);
    let message = Message::Raw(b"x".to_vec());
    let refused = Proposal::new(&imported.group, KeySpec::plain(), message, &mut OsRng).unwrap_err();
    assert_eq!(refused, FrostError::MustReshare);

    let old: Vec<&SecretShare> = imported.shares.iter().collect();
    let keep = old.iter().map(|s| s.index()).collect();
    let (renewed, fresh) = dealer::refresh(&imported.group, &old, &keep, &mut OsRng).unwrap();
    assert_eq!((renewed.status(), renewed.key()), (Status::Active, imported.group.key()));
    signs(&renewed, &fresh);

    let text = file["shares"][0].as_str().unwrap();
    assert!(FrostrShare::parse(&text[..text.len() - 1]).is_err());
    assert!(FrostrShare::parse(file["group"].as_str().unwrap()).is_err());
}

/// Packages as the crates themselves write them.
fn zf<C: frost_core::Ciphersuite>() -> (Vec<KeyPackage<C>>, frost_core::keys::PublicKeyPackage<C>) {
    let (shares, public) =
        frost_core::keys::generate_with_dealer::<C, _>(3, 2, IdentifierList::Default, &mut OsRng).unwrap();
    (shares.into_values().map(|s| KeyPackage::try_from(s).unwrap()).collect(), public)
}

fn zf_round_trip<C: frost_core::Ciphersuite>() {
    let (packages, public) = zf::<C>();
    let hex_public = hex::encode(public.serialize().unwrap());
    let json_public = serde_json::to_string(&public).unwrap();
    for form in [hex_public, json_public] {
        let public = ZfPublicKeyPackage::parse(&form).unwrap();
        let hexed = ZfKeyPackage::parse(&hex::encode(packages[0].serialize().unwrap())).unwrap();
        let json = ZfKeyPackage::parse(&serde_json::to_string(&packages[2]).unwrap()).unwrap();
        let imported = import_zf(vec![hexed, json], Some(&public)).unwrap();
        assert_eq!(imported.group.members().len(), 3);
        signs(&imported.group, &imported.shares);
    }
    let key = || ZfKeyPackage::from_bytes(&packages[1].serialize().unwrap()).unwrap();
    let alone = import_zf(vec![key()], None).unwrap_err();
    assert!(alone.to_string().contains("public key package"), "{alone}");
    let other = || ZfKeyPackage::from_bytes(&packages[2].serialize().unwrap()).unwrap();
    let imported = import_zf(vec![key(), other()], None).unwrap();
    assert_eq!(imported.group.members().len(), 2);
    signs(&imported.group, &imported.shares);
    let (_, stranger) = zf::<C>();
    let stranger = ZfPublicKeyPackage::from_bytes(&stranger.serialize().unwrap()).unwrap();
    assert_eq!(import_zf(vec![key()], Some(&stranger)).unwrap_err(), FrostError::WrongGroup);
    let bytes = packages[0].serialize().unwrap();
    for cut in 0..bytes.len() {
        assert!(ZfKeyPackage::from_bytes(&bytes[..cut]).is_err());
    }
}

#[test]
fn zf_packages_of_both_suites() {
    zf_round_trip::<frost_secp256k1_tr::Secp256K1Sha256TR>();
    zf_round_trip::<frost_ed25519::Ed25519Sha512>();
    let foreign = "00c2f9e3b4".to_owned() + &"00".repeat(131);
    assert!(matches!(ZfKeyPackage::parse(&foreign), Err(FrostError::Malformed { .. })));
    assert!(matches!(ZfKeyPackage::parse("01"), Err(FrostError::NewerVersion { .. })));
}

#[test]
fn zf_binary_forms_of_the_crates_snapshots() {
    for suite in ["frost-secp256k1-tr", "frost-ed25519"] {
        let dir = vectors().join(suite).join("snapshots");
        let read = |name: &str| {
            let path = dir.join(format!("serialization_tests__check_{name}_postcard_serialization.snap"));
            std::fs::read_to_string(path).unwrap().lines().last().unwrap().to_owned()
        };
        ZfKeyPackage::parse(&read("key_package")).unwrap();
        // The one without a threshold is of version 2.
        ZfPublicKeyPackage::parse(&read("public_key_package")).unwrap();
        ZfPublicKeyPackage::parse(&read("public_key_package_new")).unwrap();
    }
}
