//! BIP-32, 39, 85, 86, NIP-06 vectors, and how keys become accounts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{WORDS, vectors};
use keep_bitcoin::bitcoin::bip32::{DerivationPath, Xpriv};
use keep_bitcoin::{Account, BitcoinError, Branch, Mnemonic, Network, SecretNode, Seed, derive};
use keep_types::{SecretBytes, SecretKey32, SecretText};

fn secret(text: &str) -> SecretText {
    SecretText::from(text.to_owned())
}

fn text<'v>(value: &'v serde_json::Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn path(text: &str) -> DerivationPath {
    text.parse().unwrap()
}

/// The secret and the chain code of a node, as `xprv`.
fn xprv(node: &SecretNode) -> String {
    let xpub = node.xpub(Network::Mainnet);
    let key = keep_bitcoin::bitcoin::secp256k1::SecretKey::from_slice(node.secret_key().expose()).unwrap();
    Xpriv {
        network: xpub.network,
        depth: xpub.depth,
        parent_fingerprint: xpub.parent_fingerprint,
        child_number: xpub.child_number,
        private_key: key,
        chain_code: xpub.chain_code,
    }
    .to_string()
}

#[test]
fn bip32() {
    for file in vectors("bip32/bip32-vectors.json") {
        for case in file["valid"].as_array().unwrap() {
            let master =
                Seed::from_bytes(&hex::decode(text(case, "seed")).unwrap()).unwrap().master().unwrap();
            for chain in case["chains"].as_array().unwrap() {
                let steps = path(text(chain, "path"));
                let node = master.descend(steps.as_ref()).unwrap();
                assert_eq!(node.xpub(Network::Mainnet).to_string(), text(chain, "xpub"));
                assert_eq!(xprv(&node), text(chain, "xprv"));
                let read = SecretNode::from_xprv(&secret(text(chain, "xprv"))).unwrap();
                assert_eq!(read.xpub(Network::Mainnet), node.xpub(Network::Mainnet));
            }
        }
        for case in file["invalid"].as_array().unwrap() {
            let key = text(case, "key");
            assert!(SecretNode::from_xprv(&secret(key)).is_err(), "{case}");
            let descriptor = format!("tr({key}/<0;1>/*)");
            assert!(Account::from_descriptor(&descriptor, Network::Mainnet).is_err(), "{case}");
        }
    }
    for length in [0, 15, 65] {
        assert!(matches!(Seed::from_bytes(&vec![1; length]), Err(BitcoinError::SeedLength)));
    }
}

#[test]
fn bip39() {
    for file in vectors("bip39/vectors.json") {
        for (language, cases) in file.as_object().unwrap() {
            // BIP-39 has no word lists in these languages.
            if ["russian", "turkish"].contains(&language.as_str()) {
                continue;
            }
            for case in cases.as_array().unwrap() {
                let field = |index: usize| case[index].as_str().unwrap();
                let mnemonic = Mnemonic::parse(&secret(field(1)))
                    .unwrap_or_else(|error| panic!("{language}: {error}: {}", field(1)));
                let master = mnemonic.seed(&secret("TREZOR")).master().unwrap();
                let expected = Seed::from_bytes(&hex::decode(field(2)).unwrap()).unwrap().master().unwrap();
                assert_eq!(xprv(&master), xprv(&expected), "{language}: {}", field(1));
                assert_eq!(xprv(&master), field(3), "{language}");
                if language == "english" {
                    let entropy = SecretBytes::new(hex::decode(field(0)).unwrap());
                    assert_eq!(Mnemonic::from_entropy(&entropy).unwrap().words().expose(), field(1));
                }
            }
        }
    }
}

#[test]
fn bip86() {
    for file in vectors("bip86/bip86-vectors.json") {
        let master =
            Seed::from_mnemonic(&secret(text(&file, "mnemonic")), &secret("")).unwrap().master().unwrap();
        assert_eq!(xprv(&master), text(&file, "rootpriv"));
        let account = Account::bip86(&master, Network::Mainnet, 0).unwrap();
        for item in file["items"].as_array().unwrap() {
            let steps = path(text(item, "path"));
            let node = master.descend(steps.as_ref()).unwrap();
            assert_eq!(node.xpub(Network::Mainnet).to_string(), text(item, "xpub"));
            assert_eq!(xprv(&node), text(item, "xprv"));
            if item["address"].is_null() {
                assert_eq!(account.xpub().to_string(), text(item, "xpub"));
                continue;
            }
            let steps = steps.to_u32_vec();
            let branch = Branch::ALL[steps[3] as usize];
            let address = account.address(branch, steps[4]).unwrap();
            assert_eq!(address.to_string(), text(item, "address"));
            assert_eq!(address.internal_key().to_string(), text(item, "internal_key"));
            assert_eq!(address.output_key().to_string(), text(item, "output_key"));
            assert_eq!(hex::encode(address.script()), text(item, "scriptPubKey"));
            assert_eq!(address.origin().1.to_u32_vec(), steps);
        }
    }
}

#[test]
fn bip85() {
    let mut nostr = 0;
    for file in vectors("bip85/bip85-vectors.json") {
        for case in file.as_array().unwrap() {
            let (root, steps) = (text(case, "MASTER BIP32 ROOT KEY"), case["PATH"].as_str());
            let (Some(steps), true) = (steps, root.starts_with("xprv")) else { continue };
            let steps = path(steps).to_u32_vec();
            let steps: Vec<u32> = steps[1..].iter().map(|step| step & !(1 << 31)).collect();
            let master = SecretNode::from_xprv(&secret(root)).unwrap();
            let expected = hex::decode(text(case, "DERIVED ENTROPY")).unwrap();
            let entropy = derive::bip85_entropy(&master, &steps).unwrap();
            // Some applications show a part of the entropy only; the dice roll shows what follows from it.
            let shown =
                &entropy.expose()[if text(case, "app") == "XPRV" { 32..64 } else { 0..expected.len() }];
            assert_eq!(shown, expected, "{case}");
            match (text(case, "app"), steps.as_slice()) {
                ("Nostr", [_, identity, account]) => {
                    let key = derive::bip85_nostr(&master, *identity, *account).unwrap();
                    assert_eq!(nsec(&key), text(case, "DERIVED NSEC"));
                    nostr += 1;
                }
                (_, [39, 0, words, index]) => {
                    let mnemonic = derive::bip85_mnemonic(&master, *words, *index).unwrap();
                    assert_eq!(mnemonic.words().expose(), text(case, "DERIVED BIP39 MNEMONIC"));
                }
                _ => {}
            }
            assert!(derive::bip85_nostr(&master, 0, 1).is_err());
            assert!(derive::bip85_nostr(&master, 1, 0).is_err());
            assert!(derive::bip85_mnemonic(&master, 13, 0).is_err());
        }
    }
    assert!(nostr >= 3);
}

fn nsec(key: &SecretKey32) -> String {
    use keep_bitcoin::bitcoin::bech32::{Bech32, Hrp, encode};
    encode::<Bech32>(Hrp::parse("nsec").unwrap(), key.expose()).unwrap()
}

#[test]
fn nip06() {
    for file in vectors("nip06/nip06-vectors.json") {
        for case in file.as_array().unwrap() {
            let master =
                Seed::from_mnemonic(&secret(text(case, "mnemonic")), &secret("")).unwrap().master().unwrap();
            let key = derive::nip06(&master, case["account"].as_u64().unwrap() as u32).unwrap();
            assert_eq!(hex::encode(key.expose()), text(case, "secret_key"));
            assert_eq!(nsec(&key), text(case, "nsec"));
        }
    }
}

#[test]
fn a_bare_nsec_is_a_seed() {
    let key = SecretKey32::take(&mut [0x11; 32]);
    let ours = Account::bip86(&Seed::from_secret_key(&key).master().unwrap(), Network::Mainnet, 0).unwrap();
    let expected = Seed::from_bytes(&[0x11; 32]).unwrap().master().unwrap();
    assert_eq!(ours.fingerprint(), expected.fingerprint());
    assert_eq!(ours.descriptor(), Account::bip86(&expected, Network::Mainnet, 0).unwrap().descriptor());
}

#[test]
fn descriptors_read_back() {
    let master = Seed::from_mnemonic(&secret(WORDS), &secret("")).unwrap().master().unwrap();
    let account = Account::bip86(&master, Network::Mainnet, 0).unwrap();
    let text = account.descriptor();
    assert_eq!(
        text,
        "tr([73c5da0a/86h/0h/0h]xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3V\
         CECoY49yfdDEHGCtMMj92pReUsQ/<0;1>/*)#xf07c0qd"
    );
    let read = Account::from_descriptor(&text, Network::Mainnet).unwrap();
    assert_eq!(read.descriptor(), text);
    assert_eq!(read.address(Branch::Change, 7).unwrap(), account.address(Branch::Change, 7).unwrap());
    for bad in [
        text.replace("#xf07c0qd", "#xf07c0qe"),
        text.replace("<0;1>", "0").split('#').next().unwrap().to_owned(),
        text.replace("tr(", "wpkh(").split('#').next().unwrap().to_owned(),
        text.replace("/*", "/*h").split('#').next().unwrap().to_owned(),
        String::new(),
    ] {
        assert!(Account::from_descriptor(&bad, Network::Mainnet).is_err(), "{bad}");
    }
    assert!(Account::from_descriptor(&text, Network::Signet).is_err());
    assert_eq!(account.branch_descriptor(Branch::Change).matches("/1/*)#").count(), 1);
}

#[test]
fn indexes_are_bounded_and_ranges_agree_with_single_addresses() {
    let account = common::account();
    assert!(account.address(Branch::Receive, 1 << 31).is_err());
    assert!(Account::bip86(&common::master(), Network::Mainnet, 1 << 31).is_err());
    let range: Vec<_> =
        account.addresses(Branch::Receive, 3..8).map(|address| address.unwrap().to_string()).collect();
    let single: Vec<_> = (3..8).map(|index| common::receive(index).to_string()).collect();
    assert_eq!(range, single);
    assert!(range[0].starts_with("bcrt1p"));
}
