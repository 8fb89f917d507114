//! BIP-340 signatures: the raw figures that every signing path is compared with.

use std::hint::black_box;

use anyhow::Result;
use secp256k1::{Keypair, Message, SECP256K1, SecretKey, rand::rngs::OsRng};

use crate::measure::Measure;
use crate::table::Row;

pub fn rows() -> Result<Vec<Row>> {
    let secret = SecretKey::new(&mut OsRng);
    let pair = Keypair::from_secret_key(SECP256K1, &secret);
    let (public, _) = pair.x_only_public_key();
    let message = Message::from_digest([7; 32]);
    let aux = [9; 32];
    let signature = SECP256K1.sign_schnorr_with_aux_rand(&message, &pair, &aux);

    let (rebuilt, kept) = Measure::CPU.both(
        || {
            let pair = Keypair::from_secret_key(SECP256K1, black_box(&secret));
            black_box(SECP256K1.sign_schnorr_with_aux_rand(&message, &pair, &aux));
        },
        || {
            black_box(SECP256K1.sign_schnorr_with_aux_rand(&message, black_box(&pair), &aux));
        },
    );
    let verify = Measure::CPU.of(|| {
        black_box(SECP256K1.verify_schnorr(black_box(&signature), &message, &public)).ok();
    });
    let raw = "the raw figure";
    Ok(vec![
        Row::alone("BIP-340 sign, key pair kept", kept, raw),
        Row::new("BIP-340 sign, key pair rebuilt each time", rebuilt, "key pair kept", kept),
        Row::alone("BIP-340 verify", verify, raw),
    ])
}
