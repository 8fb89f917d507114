//! Prints how long signatures take here and with the bare FROST crate, in the same run.
//!
//! `cargo run --release -p keep-frost --example figures`
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use frost_secp256k1_tr as frost;
use keep_frost::minisign::FileHasher;
use keep_frost::sign::{LocalSession, Proposal};
use keep_frost::{FrostError, KeySpec, Message, SecretShare, Suite, dealer};
use rand_core::OsRng;
use zeroize::Zeroizing;

fn main() {
    println!("{:>10} {:>12} {:>12} {:>7}", "group", "bare crate", "keep-frost", "ratio");
    for (t, n) in [(2, 3), (3, 5), (7, 10), (15, 20), (67, 100)] {
        let rounds = (1500 / (u32::from(t) * u32::from(t))).clamp(3, 300);
        let (mut bare, mut ours) = (bare(t, n), ours(t, n));
        let (mut bare_times, mut our_times) = (Vec::new(), Vec::new());
        // Taken in turns, so that noise falls on both.
        for _ in 0..rounds {
            bare_times.push(time(&mut bare));
            our_times.push(time(&mut ours));
        }
        let (bare, ours) = (median(bare_times), median(our_times));
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        println!(
            "{:>10} {:>9} µs {:>9} µs {ratio:>7.2}",
            format!("{t} of {n}"),
            bare.as_micros(),
            ours.as_micros()
        );
    }
    hashing();
}

fn time(work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Round 1, round 2 and aggregation of the crate alone.
fn bare(t: u16, n: u16) -> impl FnMut() {
    let list = frost::keys::IdentifierList::Default;
    let (shares, public) = frost::keys::generate_with_dealer(n, t, list, OsRng).unwrap();
    let keys: Vec<frost::keys::KeyPackage> =
        shares.into_values().take(t.into()).map(|s| frost::keys::KeyPackage::try_from(s).unwrap()).collect();
    move || {
        let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
        for key in &keys {
            let (nonce, commitment) = frost::round1::commit(key.signing_share(), &mut OsRng);
            nonces.insert(*key.identifier(), nonce);
            commitments.insert(*key.identifier(), commitment);
        }
        let package = frost::SigningPackage::new(commitments, &[7; 32]);
        let mut shares = BTreeMap::new();
        for key in &keys {
            let share = frost::round2::sign(&package, &nonces[key.identifier()], key).unwrap();
            shares.insert(*key.identifier(), share);
        }
        black_box(frost::aggregate(&package, &shares, &public).unwrap());
    }
}

/// Proposal, checks, nonces that wait sealed, and signature, as the vault calls them.
fn ours(t: u16, n: u16) -> impl FnMut() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, t, n, &mut OsRng).unwrap();
    move || {
        let shares: Vec<&SecretShare> = dealt.shares.iter().take(t.into()).collect();
        let message = Message::Raw(vec![7; 32]);
        let proposal = Proposal::new(&dealt.group, KeySpec::plain(), message, &mut OsRng).unwrap();
        let session = LocalSession::new(&dealt.group, &shares, proposal, &mut OsRng).unwrap();
        let waiting = session.park(|secret| Ok::<_, FrostError>(Zeroizing::new(*secret))).unwrap();
        let session = waiting.unpark(|secret| Ok::<_, FrostError>(secret.clone())).unwrap();
        black_box(session.finish(&dealt.group, &shares).unwrap());
    }
}

/// The file hasher beside BLAKE2b alone, over 256 MiB in pieces of 1 MiB.
fn hashing() {
    use blake2::{Blake2b512, Digest};
    let piece = vec![0x5a; 1 << 20];
    let bare = time(&mut || {
        let mut hash = Blake2b512::new();
        (0..256).for_each(|_| hash.update(&piece));
        black_box(hash.finalize());
    });
    let ours = time(&mut || {
        let mut hash = FileHasher::default();
        (0..256).for_each(|_| hash.write_all(&piece).unwrap());
        black_box(hash.finish());
    });
    let rate = |d: Duration| 256.0 / d.as_secs_f64();
    println!("BLAKE2b-512: bare {:.0} MiB/s, file hasher {:.0} MiB/s", rate(bare), rate(ours));
}
