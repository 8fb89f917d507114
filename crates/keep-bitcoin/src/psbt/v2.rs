//! PSBT version 2 (BIP-370) as version 0 plus what version 0 has no place for.
//!
//! Keep works on one form, the version 0 of the `bitcoin` crate. A version 2 file is taken apart into that form and
//! the fields that exist in version 2 only; writing puts them together again. Fields that neither knows pass through.

use bitcoin::absolute::LOCK_TIME_THRESHOLD;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute};

use super::raw::{Map, RawPsbt, read_size, write_size};
use crate::BitcoinError;

/// Key types of the global map.
const UNSIGNED_TX: u8 = 0x00;
const TX_VERSION: u8 = 0x02;
const FALLBACK_LOCKTIME: u8 = 0x03;
const INPUT_COUNT: u8 = 0x04;
const OUTPUT_COUNT: u8 = 0x05;
const TX_MODIFIABLE: u8 = 0x06;
const VERSION: u8 = 0xfb;
const GLOBAL_V2: [u8; 5] = [TX_VERSION, FALLBACK_LOCKTIME, INPUT_COUNT, OUTPUT_COUNT, TX_MODIFIABLE];

/// Key types of an input's map.
const PREVIOUS_TXID: u8 = 0x0e;
const OUTPUT_INDEX: u8 = 0x0f;
const SEQUENCE: u8 = 0x10;
const TIME_LOCKTIME: u8 = 0x11;
const HEIGHT_LOCKTIME: u8 = 0x12;
const INPUT_V2: [u8; 5] = [PREVIOUS_TXID, OUTPUT_INDEX, SEQUENCE, TIME_LOCKTIME, HEIGHT_LOCKTIME];

/// Key types of an output's map.
const AMOUNT: u8 = 0x03;
const SCRIPT: u8 = 0x04;
const OUTPUT_V2: [u8; 2] = [AMOUNT, SCRIPT];

/// Bits of `PSBT_GLOBAL_TX_MODIFIABLE`.
const INPUTS_MODIFIABLE: u8 = 0b001;
const OUTPUTS_MODIFIABLE: u8 = 0b010;
const HAS_SINGLE: u8 = 0b100;

/// What version 2 has beyond version 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extra {
    global: Map,
    inputs: Vec<Map>,
    outputs: Vec<Map>,
}

/// The version of a PSBT, from its global map.
pub(crate) fn version(raw: &RawPsbt) -> Result<u32, BitcoinError> {
    match raw.global.get(VERSION) {
        Some(bytes) => Ok(u32::from_le_bytes(exact(bytes, "version")?)),
        None if raw.global.has_type(VERSION) => Err(invalid("its version has key data")),
        None => Ok(0),
    }
}

/// Refuses fields of version 2 in a file of version 0.
pub(crate) fn check_v0(raw: &RawPsbt, inputs: usize) -> Result<(), BitcoinError> {
    let has = |map: &Map, types: &[u8]| types.iter().any(|key| map.has_type(*key));
    let (ins, outs) = raw.rest.split_at_checked(inputs).unwrap_or((&raw.rest, &[]));
    let mixed = has(&raw.global, &GLOBAL_V2)
        || ins.iter().any(|map| has(map, &INPUT_V2))
        || outs.iter().any(|map| has(map, &OUTPUT_V2));
    if mixed { Err(invalid("a field of version 2 in a file of version 0")) } else { Ok(()) }
}

/// Takes a version 2 file apart: its maps as version 0 would have them, and the rest.
pub(crate) fn to_v0(mut raw: RawPsbt) -> Result<(RawPsbt, Extra), BitcoinError> {
    if raw.global.has_type(UNSIGNED_TX) {
        return Err(invalid("an unsigned transaction in a file of version 2"));
    }
    let global = raw.global.take(&GLOBAL_V2);
    raw.global.take(&[VERSION]);
    let inputs = read_size(required(&global, INPUT_COUNT, "input count")?)?;
    let outputs = read_size(required(&global, OUTPUT_COUNT, "output count")?)?;
    if inputs.checked_add(outputs) != Some(raw.rest.len()) {
        return Err(invalid("the counts of inputs and outputs do not fit the maps"));
    }
    let (ins, outs) = raw.rest.split_at_mut(inputs);
    let ins: Vec<Map> = ins.iter_mut().map(|map| map.take(&INPUT_V2)).collect();
    let outs: Vec<Map> = outs.iter_mut().map(|map| map.take(&OUTPUT_V2)).collect();
    let extra = Extra { global, inputs: ins, outputs: outs };
    raw.global.push(UNSIGNED_TX, unsigned_tx(&extra)?);
    Ok((raw, extra))
}

/// Puts a version 2 file together again.
pub(crate) fn to_v2(mut raw: RawPsbt, extra: &Extra) -> RawPsbt {
    raw.global.take(&[UNSIGNED_TX, VERSION]);
    raw.global.append(extra.global.clone());
    raw.global.push(VERSION, 2_u32.to_le_bytes().to_vec());
    for (map, more) in raw.rest.iter_mut().zip(extra.inputs.iter().chain(&extra.outputs)) {
        map.append(more.clone());
    }
    raw
}

impl Extra {
    /// What a signer has to change (BIP-370, "Signer"): signatures fix the inputs unless each allows others to be
    /// added, and the outputs unless each leaves them open; a SIGHASH_SINGLE signature binds input to output.
    pub(crate) fn note_signature(&mut self, anyone_can_pay: bool, outputs_open: bool, single: bool) {
        let mut flags = match self.global.get(TX_MODIFIABLE) {
            Some([flags]) => *flags,
            Some(_) | None => return,
        };
        if !anyone_can_pay {
            flags &= !INPUTS_MODIFIABLE;
        }
        if !outputs_open {
            flags &= !OUTPUTS_MODIFIABLE;
        }
        if single {
            flags |= HAS_SINGLE;
        }
        self.global.take(&[TX_MODIFIABLE]);
        self.global.push(TX_MODIFIABLE, vec![flags]);
    }
}

/// The unsigned transaction that a version 2 file describes, serialised without witness.
fn unsigned_tx(extra: &Extra) -> Result<Vec<u8>, BitcoinError> {
    let version =
        i32::from_le_bytes(exact(required(&extra.global, TX_VERSION, "transaction version")?, "version")?);
    if let Some(flags) = extra.global.get(TX_MODIFIABLE) {
        exact::<1>(flags, "flags of modifiability")?;
    }
    let tx = Transaction {
        version: Version(version),
        lock_time: absolute::LockTime::from_consensus(lock_time(extra)?),
        input: extra.inputs.iter().map(read_input).collect::<Result<_, _>>()?,
        output: extra.outputs.iter().map(read_output).collect::<Result<_, _>>()?,
    };
    Ok(serialize_unsigned(&tx))
}

/// A transaction without inputs would be written with the marker of segregated witness, which PSBT forbids.
fn serialize_unsigned(tx: &Transaction) -> Vec<u8> {
    if !tx.input.is_empty() {
        return serialize(tx);
    }
    let mut out = serialize(&tx.version);
    out.push(0);
    write_size(&mut out, tx.output.len());
    tx.output.iter().for_each(|output| out.extend(serialize(output)));
    out.extend(serialize(&tx.lock_time));
    out
}

fn read_input(map: &Map) -> Result<TxIn, BitcoinError> {
    let txid = exact(required(map, PREVIOUS_TXID, "previous transaction id")?, "previous transaction id")?;
    let vout = u32::from_le_bytes(exact(required(map, OUTPUT_INDEX, "output index")?, "output index")?);
    let sequence = match map.get(SEQUENCE) {
        Some(bytes) => Sequence(u32::from_le_bytes(exact(bytes, "sequence")?)),
        None => Sequence::MAX,
    };
    let previous_output = OutPoint { txid: Txid::from_byte_array(txid), vout };
    Ok(TxIn { previous_output, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() })
}

fn read_output(map: &Map) -> Result<TxOut, BitcoinError> {
    let value = i64::from_le_bytes(exact(required(map, AMOUNT, "amount")?, "amount")?);
    let value = u64::try_from(value).map_err(|_| invalid("an amount is negative"))?;
    let script_pubkey = ScriptBuf::from(required(map, SCRIPT, "output script")?.to_vec());
    Ok(TxOut { value: Amount::from_sat(value), script_pubkey })
}

/// The lock time of the whole transaction (BIP-370, "Determining Lock Time").
fn lock_time(extra: &Extra) -> Result<u32, BitcoinError> {
    let (mut heights, mut times) = (Some(0), Some(0));
    for map in &extra.inputs {
        let height = required_lock(map, HEIGHT_LOCKTIME, |lock| lock != 0 && lock < LOCK_TIME_THRESHOLD)?;
        let time = required_lock(map, TIME_LOCKTIME, |lock| lock >= LOCK_TIME_THRESHOLD)?;
        if height.is_none() && time.is_none() {
            continue;
        }
        // An input that names one kind only rules out the other.
        heights = heights.zip(height).map(|(a, b): (u32, u32)| a.max(b));
        times = times.zip(time).map(|(a, b): (u32, u32)| a.max(b));
    }
    let fallback = match extra.global.get(FALLBACK_LOCKTIME) {
        Some(bytes) => u32::from_le_bytes(exact(bytes, "fallback lock time")?),
        None => 0,
    };
    match (heights, times) {
        (Some(0), Some(0)) => Ok(fallback),
        (Some(height), _) => Ok(height),
        (None, Some(time)) => Ok(time),
        (None, None) => Err(invalid("its inputs require lock times of both kinds")),
    }
}

fn required_lock(map: &Map, key: u8, fits: impl Fn(u32) -> bool) -> Result<Option<u32>, BitcoinError> {
    let Some(bytes) = map.get(key) else { return Ok(None) };
    let lock = u32::from_le_bytes(exact(bytes, "required lock time")?);
    if fits(lock) { Ok(Some(lock)) } else { Err(invalid("a required lock time is out of range")) }
}

fn required<'m>(map: &'m Map, key: u8, what: &str) -> Result<&'m [u8], BitcoinError> {
    map.get(key).ok_or_else(|| invalid(&format!("the {what} is missing")))
}

fn exact<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], BitcoinError> {
    bytes.try_into().map_err(|_| invalid(&format!("the {what} has a wrong length")))
}

fn invalid(what: &str) -> BitcoinError {
    BitcoinError::Psbt(what.into())
}
