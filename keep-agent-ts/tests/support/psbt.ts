// A PSBT (BIP-174) that spends one taproot coin of ours (BIP-371): by hand, as little as a signer needs.

import { bech32m } from '@scure/base';

import type { Address } from 'keep-agent';

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);

function compact(length: number): Buffer {
  return length < 0xfd ? Buffer.from([length]) : Buffer.concat([Buffer.from([0xfd]), Buffer.from(Uint16Array.of(length).buffer)]);
}

const sized = (bytes: Buffer) => Buffer.concat([compact(bytes.length), bytes]);
const pair = (key: Buffer, value: Buffer) => Buffer.concat([sized(key), sized(value)]);

function script(address: string): Buffer {
  const { words } = bech32m.decode(address as `${string}1${string}`);
  const program = Buffer.from(bech32m.fromWords(words.slice(1)));
  return Buffer.concat([Buffer.from([0x50 + (words[0] ?? 0), program.length]), program]);
}

const output = (to: string, sats: number) => Buffer.concat([u64(sats), sized(script(to))]);

/** The origin of a key, `[fingerprint/86h/1h/0h/0/0]`, as PSBTs have it. */
function origin(text: string): Buffer {
  const [fingerprint = '', ...path] = text.slice(1, -1).split('/');
  const steps = path.map((step) => u32(step.endsWith('h') ? Number.parseInt(step) + 0x8000_0000 : Number(step)));
  return Buffer.concat([Buffer.from(fingerprint, 'hex'), ...steps]);
}

/** Spends `sats` that `from` got, and pays `outputs`; the rest is the fee. In base64. */
export function spend(from: Address, sats: number, outputs: [address: string, sats: number][]): string {
  const paid = outputs.map(([to, amount]) => output(to, amount));
  const transaction = Buffer.concat([
    u32(2),
    compact(1),
    Buffer.alloc(32, 0x11),
    u32(0),
    compact(0),
    u32(0xffff_fffd),
    compact(paid.length),
    ...paid,
    u32(0),
  ]);
  const key = Buffer.from(from.internalKey, 'hex');
  const input = Buffer.concat([
    pair(Buffer.from([0x01]), output(from.address, sats)),
    pair(Buffer.concat([Buffer.from([0x16]), key]), Buffer.concat([compact(0), origin(from.origin)])),
    pair(Buffer.from([0x17]), key),
  ]);
  const end = Buffer.from([0]);
  const psbt = [Buffer.from('70736274ff', 'hex'), pair(Buffer.from([0]), transaction), end, input, end];
  return Buffer.concat([...psbt, ...outputs.map(() => end)]).toString('base64');
}
