//! BIP-340 signing vectors and the BIP-341 wallet vectors, through the signer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::vectors;
use keep_bitcoin::bitcoin::hashes::Hash;
use keep_bitcoin::bitcoin::key::XOnlyPublicKey;
use keep_bitcoin::bitcoin::secp256k1::{Keypair, SECP256K1};
use keep_bitcoin::bitcoin::sighash::{Prevouts, SighashCache};
use keep_bitcoin::bitcoin::taproot::{LeafVersion, NodeInfo, TapNodeHash};
use keep_bitcoin::bitcoin::{
    Address, Network as Net, ScriptBuf, TapSighash, TapSighashType, Transaction, TxOut, consensus, taproot,
};
use keep_bitcoin::{KeyLocation, KeyTweak, LocalSigner, SignJob, SignerError, TaprootSigner};
use keep_types::SecretKey32;
use serde_json::Value;

fn bytes32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn signer(secret: [u8; 32], aux_rand: [u8; 32]) -> LocalSigner {
    let mut secret = secret;
    LocalSigner::new(common::master(), aux_rand).with_identity(&SecretKey32::take(&mut secret)).unwrap()
}

fn job(
    sighash: [u8; 32],
    tweak: KeyTweak,
    public_key: XOnlyPublicKey,
    sighash_type: TapSighashType,
) -> SignJob {
    SignJob {
        input: 0,
        sighash: TapSighash::from_byte_array(sighash),
        location: KeyLocation::Identity,
        tweak,
        untweaked: None,
        public_key,
        sighash_type,
        leaf_hash: None,
    }
}

#[test]
fn bip340() {
    let text = include_str!("vectors/bip340/test-vectors.csv");
    let mut signed = 0;
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        // Bitcoin signs 32 bytes.
        if fields[1].is_empty() || fields[4].len() != 64 {
            continue;
        }
        let key = XOnlyPublicKey::from_slice(&bytes32(fields[2])).unwrap();
        let job = job(bytes32(fields[4]), KeyTweak::None, key, TapSighashType::Default);
        let signature = signer(bytes32(fields[1]), bytes32(fields[3])).sign_taproot(&[job]).unwrap();
        assert_eq!(hex::encode_upper(signature[0].serialize()), fields[5]);
        signed += 1;
    }
    assert_eq!(signed, 4);
}

fn tree(node: &Value) -> Option<NodeInfo> {
    match node {
        Value::Null => None,
        Value::Array(pair) => Some(NodeInfo::combine(tree(&pair[0])?, tree(&pair[1])?).unwrap()),
        leaf => {
            let script = ScriptBuf::from_hex(leaf["script"].as_str().unwrap()).unwrap();
            let version = LeafVersion::from_consensus(leaf["leafVersion"].as_u64().unwrap() as u8).unwrap();
            Some(NodeInfo::new_leaf_with_ver(script, version))
        }
    }
}

#[test]
fn bip341_outputs() {
    for file in vectors("bip341/wallet-test-vectors.json") {
        for case in file["scriptPubKey"].as_array().unwrap() {
            let key = bytes32(case["given"]["internalPubkey"].as_str().unwrap());
            let key = XOnlyPublicKey::from_slice(&key).unwrap();
            let root = tree(&case["given"]["scriptTree"]).map(|node| node.node_hash());
            assert_eq!(
                root.map(|root| root.to_string()).as_deref(),
                case["intermediary"]["merkleRoot"].as_str()
            );
            let script = ScriptBuf::new_p2tr(SECP256K1, key, root);
            assert_eq!(script.to_hex_string(), case["expected"]["scriptPubKey"].as_str().unwrap());
            let address = Address::from_script(&script, Net::Bitcoin).unwrap();
            assert_eq!(address.to_string(), case["expected"]["bip350Address"].as_str().unwrap());
        }
    }
}

#[test]
fn bip341_key_path_signatures() {
    for file in vectors("bip341/wallet-test-vectors.json") {
        let case = &file["keyPathSpending"][0];
        let raw = hex::decode(case["given"]["rawUnsignedTx"].as_str().unwrap()).unwrap();
        let tx: Transaction = consensus::deserialize(&raw).unwrap();
        let prevouts: Vec<TxOut> = case["given"]["utxosSpent"]
            .as_array()
            .unwrap()
            .iter()
            .map(|utxo| {
                let script = ScriptBuf::from_hex(utxo["scriptPubKey"].as_str().unwrap()).unwrap();
                common::txout(&script, utxo["amountSats"].as_u64().unwrap())
            })
            .collect();
        let mut cache = SighashCache::new(&tx);
        for spend in case["inputSpending"].as_array().unwrap() {
            let given = &spend["given"];
            let index = given["txinIndex"].as_u64().unwrap() as usize;
            let kind = TapSighashType::from_consensus_u8(given["hashType"].as_u64().unwrap() as u8).unwrap();
            let hash =
                cache.taproot_key_spend_signature_hash(index, &Prevouts::All(&prevouts), kind).unwrap();
            assert_eq!(hash.to_string(), spend["intermediary"]["sigHash"].as_str().unwrap());
            let root = given["merkleRoot"].as_str().map(|root| TapNodeHash::from_byte_array(bytes32(root)));
            let output = XOnlyPublicKey::from_slice(&prevouts[index].script_pubkey.as_bytes()[2..]).unwrap();
            let job = job(hash.to_byte_array(), KeyTweak::Taproot(root), output, kind);
            let signer = signer(bytes32(given["internalPrivkey"].as_str().unwrap()), [0; 32]);
            let signature = signer.sign_taproot(&[job]).unwrap()[0];
            let written = taproot::Signature { signature, sighash_type: kind }.to_vec();
            assert_eq!(hex::encode(written), spend["expected"]["witness"][0].as_str().unwrap());
        }
    }
}

/// A missing or doubled tweak is noticed before anything is signed.
#[test]
fn wrong_tweaks_are_refused() {
    let secret = [3; 32];
    let pair = Keypair::from_seckey_slice(SECP256K1, &secret).unwrap();
    let (internal, _) = pair.x_only_public_key();
    let root = TapNodeHash::from_byte_array([5; 32]);
    for (tweak, demanded) in
        [(KeyTweak::None, true), (KeyTweak::Taproot(None), false), (KeyTweak::Taproot(Some(root)), false)]
    {
        let job = job([1; 32], tweak, internal, TapSighashType::Default);
        let result = signer(secret, [0; 32]).sign_taproot(&[job]);
        assert_eq!(result.is_ok(), demanded, "{tweak:?}");
        if !demanded {
            assert_eq!(result.unwrap_err(), SignerError::KeyMismatch(0));
        }
    }
}
