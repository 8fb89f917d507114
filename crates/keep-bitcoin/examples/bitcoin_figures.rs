//! Figures of this crate against the bare primitives, in one run: a PSBT with 1,000 taproot inputs against 1,000 bare
//! signatures, and 10,000 addresses against bare derivation.
//!
//! `cargo run --release -p keep-bitcoin --example bitcoin_figures`

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use keep_bitcoin::bitcoin::absolute::LockTime;
use keep_bitcoin::bitcoin::bip32::ChildNumber;
use keep_bitcoin::bitcoin::hashes::Hash;
use keep_bitcoin::bitcoin::key::TapTweak;
use keep_bitcoin::bitcoin::secp256k1::{Keypair, Message, SECP256K1, Scalar, SecretKey};
use keep_bitcoin::bitcoin::transaction::Version;
use keep_bitcoin::bitcoin::{
    Address, Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use keep_bitcoin::{
    Account, Branch, Encoding, InspectOptions, Inspection, LocalSigner, Network, PsbtFile, Seed, Wallet,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const INPUTS: u32 = 1_000;
const ADDRESSES: u32 = 10_000;
const ROUNDS: usize = 15;

fn account() -> Outcome<Account> {
    Ok(Account::bip86(&Seed::from_bytes(&[7; 32])?.master()?, Network::Mainnet, 0)?)
}

/// The best of several runs: what the work takes when nothing else runs.
fn best(mut run: impl FnMut() -> Outcome<Duration>) -> Outcome<Duration> {
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        least = least.min(run()?);
    }
    Ok(least)
}

/// A PSBT with `inputs` inputs, spread over `keys` addresses of ours, that pays to one of them.
fn psbt(inputs: u32, keys: u32) -> Outcome<Vec<u8>> {
    let account = account()?;
    let own =
        (0..keys).map(|index| account.address(Branch::Receive, index)).collect::<Result<Vec<_>, _>>()?;
    let of = |number: u32| &own[(number % keys) as usize];
    let tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: (0..inputs)
            .map(|number| TxIn {
                previous_output: OutPoint { txid: Txid::hash(&number.to_le_bytes()), vout: number },
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            })
            .collect(),
        output: vec![TxOut {
            value: Amount::from_sat(u64::from(inputs) * 9_000),
            script_pubkey: of(0).script().into(),
        }],
    };
    let mut psbt = Psbt::from_unsigned_tx(tx)?;
    for (number, input) in (0..inputs).zip(&mut psbt.inputs) {
        let address = of(number);
        let (fingerprint, path) = address.origin();
        input.witness_utxo =
            Some(TxOut { value: Amount::from_sat(10_000), script_pubkey: address.script().into() });
        input.tap_internal_key = Some(address.internal_key());
        input.tap_key_origins.insert(address.internal_key(), (Vec::new(), (fingerprint, path.clone())));
    }
    Ok(PsbtFile::new(psbt)?.write_as(Encoding::Binary))
}

fn bare_signatures(count: u32) -> Outcome<Duration> {
    let pair = Keypair::from_seckey_slice(SECP256K1, &[9; 32])?;
    let start = Instant::now();
    for number in 0..count {
        let mut digest = [3; 32];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        std::hint::black_box(SECP256K1.sign_schnorr_with_aux_rand(
            &Message::from_digest(digest),
            &pair,
            &[0; 32],
        ));
    }
    Ok(start.elapsed())
}

/// What an input with a key of its own needs at the least: a public key derived and tweaked, a secret key tweaked and
/// expanded, and a signature. Each alone, and nothing else.
fn primitives(count: u32) -> Outcome<[Duration; 4]> {
    let secret = SecretKey::from_slice(&[9; 32])?;
    let public = secret.public_key(SECP256K1);
    let mut times = [Duration::ZERO; 4];
    for number in 0..count {
        let mut digest = [3; 32];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        let step = Scalar::from_be_bytes(digest)?;
        let begin = Instant::now();
        let child = public.add_exp_tweak(SECP256K1, &step)?.x_only_public_key().0;
        let derived = Instant::now();
        std::hint::black_box(child.add_tweak(SECP256K1, &step)?);
        let tweaked = Instant::now();
        let pair = Keypair::from_secret_key(SECP256K1, &secret.add_tweak(&step)?.add_tweak(&step)?);
        let expanded = Instant::now();
        let message = Message::from_digest(digest);
        std::hint::black_box(SECP256K1.sign_schnorr_with_aux_rand(&message, &pair, &[0; 32]));
        let parts = [derived - begin, tweaked - derived, expanded - tweaked, expanded.elapsed()];
        times.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    Ok(times)
}

/// Parsing, inspecting and signing, each alone.
fn stages(raw: &[u8]) -> Outcome<[Duration; 3]> {
    let wallet = Wallet::new(Network::Mainnet).with_account(account()?)?;
    let options = InspectOptions { max_fee_sats: u64::MAX, ..InspectOptions::default() };
    let mut least = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        let signer = LocalSigner::new(Seed::from_bytes(&[7; 32])?.master()?, [0; 32]);
        let start = Instant::now();
        let file = PsbtFile::read(raw)?;
        let parsed = Instant::now();
        let inspection = Inspection::new(file, &wallet, &options);
        let inspected = Instant::now();
        let result = inspection.sign(&signer)?;
        let signed = Instant::now();
        std::hint::black_box(result);
        least[0] = least[0].min(parsed - start);
        least[1] = least[1].min(inspected - parsed);
        least[2] = least[2].min(signed - inspected);
    }
    Ok(least)
}

fn addresses() -> Outcome<Duration> {
    let account = account()?;
    let start = Instant::now();
    for address in account.addresses(Branch::Receive, 0..ADDRESSES) {
        std::hint::black_box(address?.to_string());
    }
    Ok(start.elapsed())
}

/// The two point operations of an address, and nothing else.
fn bare_points() -> Outcome<Duration> {
    let key = account()?.xpub().public_key;
    let start = Instant::now();
    for number in 0..ADDRESSES {
        let mut tweak = [1; 32];
        tweak[28..].copy_from_slice(&number.to_be_bytes());
        let scalar = Scalar::from_be_bytes(tweak)?;
        let child = key.add_exp_tweak(SECP256K1, &scalar)?;
        std::hint::black_box(child.x_only_public_key().0.add_tweak(SECP256K1, &scalar)?);
    }
    Ok(start.elapsed())
}

/// The same addresses with the `bitcoin` crate alone.
fn plain_addresses() -> Outcome<Duration> {
    let xpub = *account()?.xpub();
    let start = Instant::now();
    for index in 0..ADDRESSES {
        let path = [ChildNumber::Normal { index: 0 }, ChildNumber::Normal { index }];
        let key = xpub.derive_pub(SECP256K1, &path)?.public_key.x_only_public_key().0;
        let (tweaked, _) = key.tap_tweak(SECP256K1, None);
        std::hint::black_box(Address::p2tr_tweaked(tweaked, Network::Mainnet.params()).to_string());
    }
    Ok(start.elapsed())
}

fn main() -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let bare = best(|| bare_signatures(INPUTS))?;
    writeln!(out, "{INPUTS} bare signatures: {:.1} ms", ms(bare))?;
    let mut parts = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        parts.iter_mut().zip(primitives(INPUTS)?).for_each(|(least, part)| *least = (*least).min(part));
    }
    let names = ["derive the public key", "tweak it", "expand the secret key", "sign"];
    for (name, part) in names.iter().zip(parts) {
        writeln!(out, "{INPUTS} times: {name} {:.1} ms", ms(part))?;
    }
    let least: Duration = parts.iter().sum();
    for keys in [1, 10, INPUTS] {
        let raw = psbt(INPUTS, keys)?;
        let [parse, inspect, sign] = stages(&raw)?;
        writeln!(
            out,
            "{INPUTS} inputs, {keys} keys: parse {:.1} ms, inspect {:.1} ms, sign {:.1} ms ({:.2} of bare); \
             all but parsing {:.2} of bare, {:.2} of deriving, tweaking and signing",
            ms(parse),
            ms(inspect),
            ms(sign),
            sign.as_secs_f64() / bare.as_secs_f64(),
            (inspect + sign).as_secs_f64() / bare.as_secs_f64(),
            (inspect + sign).as_secs_f64() / least.as_secs_f64(),
        )?;
    }
    for inputs in [1_000, 2_000, 4_000, 8_000] {
        let [parse, inspect, sign] = stages(&psbt(inputs, 1)?)?;
        let each = (parse + inspect + sign).as_secs_f64() * 1e6 / f64::from(inputs);
        writeln!(out, "{inputs} inputs, 1 key: {each:.1} µs per input in all")?;
    }
    let (ours, points, plain) = (best(addresses)?, best(bare_points)?, best(plain_addresses)?);
    writeln!(
        out,
        "{ADDRESSES} addresses: {:.0} ms; bare point operations {:.0} ms (speed {:.2} of bare); \
         bitcoin crate alone {:.0} ms",
        ms(ours),
        ms(points),
        points.as_secs_f64() / ours.as_secs_f64(),
        ms(plain),
    )?;
    Ok(())
}
