//! Scripts as people read them.

use bitcoin::absolute::LockTime;
use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::{OP_CLTV, OP_CODESEPARATOR, OP_CSV};
use bitcoin::script::Instruction;
use bitcoin::taproot::TapLeafHash;
use bitcoin::{Script, Sequence, WitnessVersion, relative};
use keep_types::{DisplayText, Timestamp};
use miniscript::policy::Liftable;
use miniscript::{Miniscript, Tap};

use super::size::MAX_SCRIPT;
use super::{LeafView, LockTimeView, RelativeLockView, ScriptKind};

/// How many characters of a script are shown.
const SHOWN: usize = 600;

impl ScriptKind {
    /// The form of `script`.
    pub(crate) fn of(script: &Script) -> Self {
        match script.witness_version() {
            _ if script.is_op_return() => Self::OpReturn,
            _ if script.is_p2pk() => Self::P2pk,
            _ if script.is_p2pkh() => Self::P2pkh,
            _ if script.is_p2sh() => Self::P2sh,
            Some(_) if script.is_p2wpkh() => Self::P2wpkh,
            Some(_) if script.is_p2wsh() => Self::P2wsh,
            Some(_) if script.is_p2tr() => Self::P2tr,
            Some(WitnessVersion::V1) if script.as_bytes() == [0x51, 0x02, 0x4e, 0x73] => Self::P2a,
            Some(WitnessVersion::V0) | None => Self::Other,
            Some(_) => Self::FutureWitness,
        }
    }
}

/// A script in hexadecimal, cut where it gets too long.
pub(crate) fn hex_text(script: &Script) -> DisplayText {
    let shown = &script.as_bytes()[..script.len().min(SHOWN / 2 + 1)];
    DisplayText::truncated(&hex::encode(shown), SHOWN)
}

/// The pushes of a data output as text.
pub(crate) fn data_text(script: &Script) -> DisplayText {
    let data = script.instructions().skip(1).filter_map(Result::ok);
    let pushes = data.filter_map(|instruction| instruction.push_bytes().map(|push| push.as_bytes().to_vec()));
    let bytes: Vec<u8> = pushes.flatten().take(4 * SHOWN).collect();
    match std::str::from_utf8(&bytes) {
        Ok(text) => DisplayText::truncated(text, SHOWN),
        Err(_) => DisplayText::truncated(&format!("0x{}", hex::encode(&bytes)), SHOWN),
    }
}

/// Whether `script` pushes `key`.
pub(crate) fn names_key(script: &Script, key: &XOnlyPublicKey) -> bool {
    let bytes = key.serialize();
    script
        .instructions()
        .filter_map(Result::ok)
        .any(|instruction| instruction.push_bytes().is_some_and(|push| push.as_bytes() == bytes))
}

/// Whether a signature would have to commit to a position in `script` (`OP_CODESEPARATOR`).
pub(crate) fn has_code_separator(script: &Script) -> bool {
    script
        .instructions()
        .filter_map(Result::ok)
        .any(|instruction| instruction.opcode() == Some(OP_CODESEPARATOR))
}

/// A leaf of a taproot tree.
pub(crate) fn leaf(script: &Script, leaf_hash: TapLeafHash) -> LeafView {
    let start = Script::from_bytes(&script.as_bytes()[..script.len().min(SHOWN)]);
    let (after, older) = locks(script);
    LeafView {
        leaf_hash: DisplayText::new(&leaf_hash.to_string()),
        script: DisplayText::truncated(&start.to_asm_string(), SHOWN),
        policy: policy(script),
        after,
        older,
    }
}

fn policy(script: &Script) -> Option<DisplayText> {
    if script.len() > MAX_SCRIPT {
        return None;
    }
    let miniscript = Miniscript::<XOnlyPublicKey, Tap>::decode_consensus(script).ok()?;
    Some(DisplayText::truncated(&miniscript.lift().ok()?.to_string(), SHOWN))
}

/// The time locks of a script: every number that comes right before one of their operations.
fn locks(script: &Script) -> (Vec<LockTimeView>, Vec<RelativeLockView>) {
    let (mut after, mut older) = (Vec::new(), Vec::new());
    let mut number: Option<u32> = None;
    for instruction in script.instructions().filter_map(Result::ok) {
        match (instruction.opcode(), number) {
            (Some(OP_CLTV), Some(lock)) => after.extend(lock_time(LockTime::from_consensus(lock), true)),
            (Some(OP_CSV), Some(lock)) => older.extend(relative_lock(Sequence(lock))),
            _ => {}
        }
        number = small_number(&instruction);
    }
    (after, older)
}

/// The number that an instruction pushes, if it is one of a time lock: at most five bytes, not negative.
fn small_number(instruction: &Instruction<'_>) -> Option<u32> {
    let bytes = match instruction {
        Instruction::PushBytes(push) => push.as_bytes(),
        Instruction::Op(op) => {
            let op = op.to_u8();
            // OP_1 to OP_16.
            return (0x51..=0x60).contains(&op).then(|| u32::from(op - 0x50));
        }
    };
    if bytes.len() > 5 || bytes.last().is_some_and(|top| top & 0x80 != 0) {
        return None;
    }
    let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    u32::try_from(value).ok()
}

/// A transaction's or script's absolute lock, if it is in force.
pub(crate) fn lock_time(lock: LockTime, enabled: bool) -> Option<LockTimeView> {
    match lock {
        _ if !enabled || lock.to_consensus_u32() == 0 => None,
        LockTime::Blocks(height) => Some(LockTimeView::Height { height: height.to_consensus_u32() }),
        LockTime::Seconds(time) => {
            Some(LockTimeView::Time { at: Timestamp::from_secs(u64::from(time.to_consensus_u32())) })
        }
    }
}

/// The relative lock that a sequence number stands for, if it is one and not zero (BIP-68).
pub(crate) fn relative_lock(sequence: Sequence) -> Option<RelativeLockView> {
    match sequence.to_relative_lock_time()? {
        relative::LockTime::Blocks(blocks) if blocks.value() > 0 => {
            Some(RelativeLockView::Blocks { blocks: blocks.value() })
        }
        relative::LockTime::Time(time) if time.value() > 0 => {
            Some(RelativeLockView::Time { seconds: u32::from(time.value()) * 512 })
        }
        relative::LockTime::Blocks(_) | relative::LockTime::Time(_) => None,
    }
}
