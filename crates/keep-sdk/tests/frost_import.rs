//! What an import may change: no share is given up for one that somebody made up, and no device key is taken on the word of
//! whoever wrote it down.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

use keep_frost::wire::ShareExport;
use keep_frost::{DeviceKey, Endorsement, Group, GroupParts, Index, Member, SecretShare};
use keep_sdk::frost::{Frost, GroupKey, GroupView, ImportOptions, ShareForm, Suite, ToSign};
use keep_sdk::{ErrorCode, Fault, Home, KdfCost, Keep, Name, Options, SecretText};
use rand_core::OsRng;
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};

const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
const EXPORT: Option<(u32, u8, u8)> = Some((8192, 1, 1));
const PLAIN: ImportOptions =
    ImportOptions { replace: false, unproved: false, trust_roster: false, abandon: false };
const REPLACE: ImportOptions = ImportOptions { replace: true, ..PLAIN };

struct World(tempfile::TempDir);

impl World {
    fn vault(&self, name: &str) -> Keep {
        let home = Home::new(self.0.path().join(name)).unwrap();
        let options = Options::default().allow_weak_kdf().kdf_cost(CHEAP);
        Keep::create(home, &passphrase(), &options).unwrap()
    }
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

fn export(from: &Frost, group: &GroupView, index: u16) -> String {
    from.export_share(Some(&group.pubkey), index, ShareForm::Bech32, &passphrase(), EXPORT).unwrap().share
}

fn import(into: &Frost, text: &str, accept: ImportOptions) -> Result<GroupView, Fault> {
    let name = Some(Name::new("moved").unwrap());
    into.import(text.to_owned().into(), Some(passphrase()), name, accept).map(|view| view.group)
}

fn signs(frost: &Frost) -> bool {
    frost.sign(None, ToSign::Raw("00".to_owned()), GroupKey::default(), vec![]).is_ok()
}

fn seal(
    group: &Group,
    share: &SecretShare,
    device: Option<&DeviceKey>,
    word: Option<&Endorsement>,
) -> String {
    let cost = keep_frost::wire::KdfCost::new(8192, 1, 1).unwrap();
    let sealed = ShareExport::seal(group, share, device, word, &passphrase(), cost, &mut OsRng);
    sealed.unwrap().to_bech32().unwrap()
}

fn opened(text: &str) -> keep_frost::wire::Enrolment {
    ShareExport::from_bech32(text).unwrap().open(&passphrase()).unwrap()
}

fn index(number: u64) -> Index {
    Index::new(number).unwrap()
}

fn encoded(point: &PublicKey) -> keep_frost::Point {
    let bytes = minicbor::to_vec(minicbor::bytes::ByteVec::from(point.serialize().to_vec())).unwrap();
    minicbor::decode(&bytes).unwrap()
}

/// A later epoch of a 2-of-3 group, made up from its public key: a line through the key and a share of one's own. All
/// that can be checked without a second share fits.
fn made_up(group: &Group, change: impl FnOnce(&mut GroupParts)) -> (Group, SecretShare) {
    let key = PublicKey::from_slice(group.key().as_bytes()).unwrap();
    let secret = SecretKey::from_slice(&[7; 32]).unwrap();
    let first = PublicKey::from_secret_key(SECP256K1, &secret);
    // V(x) = K + x (V(1) − K)
    let step = first.combine(&key.negate(SECP256K1)).unwrap();
    let times = |n: u8| {
        let mut scalar = [0; 32];
        scalar[31] = n;
        step.mul_tweak(SECP256K1, &Scalar::from_be_bytes(scalar).unwrap()).unwrap()
    };
    let mut parts = group.clone().into_parts();
    parts.epoch += 1;
    parts.members = parts
        .members
        .iter()
        .map(|member| {
            let point = key.combine(&times(u8::try_from(member.index.get()).unwrap())).unwrap();
            Member { verifying_share: encoded(&point), ..member.clone() }
        })
        .collect();
    change(&mut parts);
    let group = Group::try_from(parts).unwrap();
    group.check().unwrap();
    let share = SecretShare::new(&group, index(1), &mut secret.secret_bytes()).unwrap();
    (group, share)
}

#[test]
fn a_made_up_epoch_deletes_nothing() {
    let world = World(tempfile::tempdir().unwrap());
    let keep = world.vault("v");
    let frost = keep.frost();
    let group = frost.generate(Some(Name::new("g").unwrap()), Suite::Secp256k1Tr, 2, 3).unwrap();
    let real = opened(&export(&frost, &group, 1)).group;
    let (forged, share) = made_up(&real, |_| {});
    let text = seal(&forged, &share, None, None);
    let refused = import(&frost, &text, PLAIN).unwrap_err();
    assert!(refused.hint().contains("--replace"), "{refused:?}");
    let refused = import(&frost, &text, REPLACE).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::RefusedByPolicy);
    assert!(refused.message().contains("could have made them up"), "{refused}");
    // Nor does what is public about it, without any share.
    let public = |group: &Group| {
        let hex = hex::encode(minicbor::to_vec(group).unwrap());
        format!("{{\"keep_group\":1,\"group\":\"{hex}\"}}")
    };
    assert!(import(&frost, &public(&forged), REPLACE).unwrap_err().message().contains("made them up"));
    // A signature of the real group over something else is no word for it.
    let other = frost.sign(None, ToSign::Raw("aa".repeat(83)), GroupKey::default(), vec![]).unwrap();
    let with_word = format!(
        "{{\"keep_group\":1,\"group\":\"{}\",\"endorsement\":\"{}\"}}",
        hex::encode(minicbor::to_vec(&forged).unwrap()),
        other.signature
    );
    let refused = import(&frost, &with_word, REPLACE).unwrap_err();
    assert!(refused.message().contains("over its new shares is not valid"), "{refused}");
    // All shares are still here, and sign.
    let now = frost.find(None).unwrap();
    assert_eq!((now.epoch, now.shares.clone()), (0, vec![1, 2, 3]));
    assert!(signs(&frost));
    // Only the owner's own word makes it so.
    let taken = import(&frost, &text, ImportOptions { unproved: true, ..REPLACE }).unwrap();
    assert_eq!((taken.epoch, taken.shares.clone()), (1, vec![1]));
    let entries = keep.audit().list(1).unwrap();
    assert!(entries[0].reason.as_ref().unwrap().as_str().contains("epoch 1 (owner)"), "{entries:?}");
}

#[test]
fn a_real_epoch_is_proved_by_the_group_or_by_enough_shares() {
    let world = World(tempfile::tempdir().unwrap());
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let world = World(tempfile::tempdir_in(world.0.path()).unwrap());
        let (one, other, third) = (world.vault("one"), world.vault("other"), world.vault("third"));
        let group = one.frost().generate(None, suite, 2, 3).unwrap();
        let old: Vec<String> = (1..=3).map(|index| export(&one.frost(), &group, index)).collect();
        for keep in [&other, &third] {
            import(&keep.frost(), &old[1..].join("\n"), PLAIN).unwrap();
        }
        let rotated = other.frost().rotate_device(None, 2).unwrap().device;
        let next = one.frost().refresh(None, vec![]).unwrap();
        let text = export(&one.frost(), &next, 2);
        let view = other.frost().import(text.clone().into(), Some(passphrase()), None, REPLACE).unwrap();
        assert_eq!(
            (view.proof.as_deref(), view.group.epoch, view.group.shares.len()),
            (Some("endorsed"), 1, 1)
        );
        // Its own device key, which was renewed here, stays with it.
        assert_eq!(view.group.members[1].device.as_deref(), Some(rotated.as_str()));
        assert!(other.frost().propose(None, ToSign::Raw("00".into()), GroupKey::default(), vec![]).is_ok());
        // The group's word goes on with the share.
        let passed_on = opened(&export(&other.frost(), &view.group, 2));
        assert!(passed_on.endorsement.is_some());
        // Without it, one share is not enough, and two are: together they are a proof.
        let bare = |index: u16| {
            let enrolment = opened(&export(&one.frost(), &next, index));
            seal(&enrolment.group, &enrolment.share, enrolment.device.as_ref(), None)
        };
        let refused = import(&third.frost(), &bare(1), REPLACE).unwrap_err();
        assert!(refused.message().contains("made them up"), "{refused}");
        assert!(signs(&third.frost()));
        let both = format!("{}\n{}", bare(1), bare(3));
        let view = third.frost().import(both.into(), Some(passphrase()), None, REPLACE).unwrap();
        assert_eq!((view.proof.as_deref(), view.group.shares.clone()), (Some("threshold"), vec![1, 3]));
        assert!(signs(&third.frost()));
        let stale = import(&third.frost(), &old[0], REPLACE).unwrap_err();
        assert_eq!(stale.message(), "this is of epoch 0, the group is at epoch 1");
    }
}

#[test]
fn a_renewal_changes_neither_threshold_nor_addresses() {
    let world = World(tempfile::tempdir().unwrap());
    let keep = world.vault("v");
    let frost = keep.frost();
    let group = frost.generate(None, Suite::Secp256k1Tr, 2, 3).unwrap();
    let real = opened(&export(&frost, &group, 1)).group;
    let owner = ImportOptions { unproved: true, ..REPLACE };
    let says = |change: fn(&mut GroupParts)| {
        let (forged, share) = made_up(&real, change);
        import(&frost, &seal(&forged, &share, None, None), owner).unwrap_err().message().to_owned()
    };
    assert_eq!(says(|parts| parts.threshold = 3), "a renewal does not change the threshold; this does");
    assert_eq!(
        says(|parts| parts.chain_code = Some([9; 32])),
        "a renewal does not change the chain code; this does"
    );
    // Nor does it add members.
    let added = says(|parts| {
        let mut member = parts.members[2].clone();
        member.index = Index::new(4).unwrap();
        // 2 V(3) − V(2) lies on the same line.
        let point = |at: usize| PublicKey::from_slice(parts.members[at].verifying_share.as_bytes()).unwrap();
        let fourth = point(2).combine(&point(2).combine(&point(1).negate(SECP256K1)).unwrap()).unwrap();
        member.verifying_share = encoded(&fourth);
        parts.members.push(member);
    });
    assert_eq!(added, "member 4 does not belong to the group");
}

#[test]
fn device_keys_are_not_taken_on_hearsay() {
    let world = World(tempfile::tempdir().unwrap());
    let (dealer, keep) = (world.vault("dealer"), world.vault("v"));
    let (theirs, frost) = (dealer.frost(), keep.frost());
    let group = theirs.generate(None, Suite::Secp256k1Tr, 2, 3).unwrap();
    // A vault that knows the group without its roster.
    let first = opened(&export(&theirs, &group, 1));
    let mut parts = first.group.clone().into_parts();
    parts.members.iter_mut().for_each(|member| member.device = None);
    let bare = Group::try_from(parts).unwrap();
    let mut secret: [u8; 32] = {
        let record = first.share.to_record().unwrap();
        record.expose()[record.expose().len() - 32..].try_into().unwrap()
    };
    let share = SecretShare::new(&bare, index(1), &mut secret).unwrap();
    import(&frost, &seal(&bare, &share, None, None), PLAIN).unwrap();
    // A member sends its share, and names keys for the others that it made itself.
    let second = opened(&export(&theirs, &group, 2));
    let mut parts = second.group.clone().into_parts();
    let planted = DeviceKey::generate(&mut OsRng).unwrap();
    parts.members[0].device = None;
    parts.members[2].device = Some(planted.public());
    let planting = Group::try_from(parts).unwrap();
    let text = seal(&planting, &second.share, second.device.as_ref(), None);
    let refused = import(&frost, &text, PLAIN).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::RefusedByPolicy);
    assert!(
        refused.message().contains("member 3") && refused.hint().contains("--trust-roster"),
        "{refused:?}"
    );
    assert_eq!(frost.find(None).unwrap().shares, [1]);
    // Its own key comes with the share itself.
    let mut parts = planting.into_parts();
    parts.members[2].device = None;
    let own_only = Group::try_from(parts).unwrap();
    let taken = import(&frost, &seal(&own_only, &second.share, second.device.as_ref(), None), PLAIN).unwrap();
    assert_eq!((taken.shares.clone(), taken.members[2].device.clone()), (vec![1, 2], None));
    // The whole roster only when the owner says so, and then what is known stays.
    let third = export(&theirs, &group, 3);
    let taken = import(&frost, &third, ImportOptions { trust_roster: true, ..PLAIN }).unwrap();
    assert!(taken.members.iter().all(|member| member.device.is_some()));
    let before = taken.members[1].device.clone();
    let rotated = frost.rotate_device(None, 2).unwrap().device;
    assert_ne!(before.as_deref(), Some(rotated.as_str()));
    // An old export of a share that is here does not put its old device key back.
    let again = import(&frost, &export(&theirs, &group, 2), PLAIN).unwrap();
    assert_eq!(again.members[1].device.as_deref(), Some(rotated.as_str()));
    assert!(frost.propose(None, ToSign::Raw("00".into()), GroupKey::default(), vec![2]).is_ok());
}

#[test]
fn of_a_later_epoch_only_the_public_shares_count() {
    let world = World(tempfile::tempdir().unwrap());
    let (dealer, keep) = (world.vault("dealer"), world.vault("v"));
    let (theirs, frost) = (dealer.frost(), keep.frost());
    let group = theirs.generate(None, Suite::Secp256k1Tr, 2, 3).unwrap();
    import(&frost, &export(&theirs, &group, 1), PLAIN).unwrap();
    let next = theirs.refresh(None, vec![]).unwrap();
    // What is public, proved as it is, deletes no share.
    let public = theirs.export_group(None).unwrap().text;
    let refused = import(&frost, &public, REPLACE).unwrap_err();
    assert!(refused.message().contains("there is no share in this"), "{refused}");
    assert_eq!(frost.find(None).unwrap().shares, [1]);
    // A real share of a real epoch, with everything beside it changed: a planted key for its own member, which comes
    // without its secret, another status, another history.
    let enrolment = opened(&export(&theirs, &next, 1));
    let mut parts = enrolment.group.clone().into_parts();
    let planted = DeviceKey::generate(&mut OsRng).unwrap().public();
    parts.members[0].device = Some(planted);
    parts.status = keep_frost::Status::MustReshare;
    parts.provenance = keep_frost::Provenance::Dkg;
    let changed = Group::try_from(parts).unwrap();
    let word = enrolment.endorsement.unwrap();
    let text = seal(&changed, &enrolment.share, None, Some(&word));
    let taken = import(&frost, &text, REPLACE).unwrap();
    assert_eq!((taken.epoch, taken.status.as_str(), taken.provenance.as_str()), (1, "active", "dealer"));
    assert_eq!(taken.members[0].device, group.members[0].device);
    // In a vault that knows nothing of the group such a key is not taken either.
    let fresh = world.vault("fresh");
    let view = import(&fresh.frost(), &text, PLAIN).unwrap();
    assert_eq!(view.members[0].device, None);
}
