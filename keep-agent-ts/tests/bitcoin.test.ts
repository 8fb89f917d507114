// Bitcoin within limits.

import { expect, test } from 'vitest';

import { KeepAgentSession, createBitcoinScope } from 'keep-agent';
import { Vault, code } from './support/vault.js';
import { spend } from './support/psbt.js';

const vault = Vault.create();
const regtest = { network: 'regtest' } as const;
// BIP-350, a P2TR of somebody else's.
const shop = 'bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6';

function session(name: string, ...flags: string[]): KeepAgentSession {
  return new KeepAgentSession(undefined, { token: vault.session(name, '--scope', 'bitcoin', ...flags) });
}

test('transactions are signed within the limits, and not beyond', async () => {
  const till = session('till', '--max-amount', '10000sat', '--budget', '15000sat/day');
  const ours = await till.getBitcoinAddress(regtest);
  const change = await till.getBitcoinAddress(regtest);
  expect(ours.address).toMatch(/^bcrt1p/);
  expect(change.index).toBe(ours.index + 1);

  const small = spend(ours, 100_000, [[shop, 8_000], [change.address, 91_000]]);
  const analysis = await till.analyzePsbt(small, regtest);
  expect(analysis).toMatchObject({ network: 'regtest', refusals: [], facts: { feeSats: 1_000 } });
  expect(analysis.inputs[0]?.ownership.kind).toBe('signable');
  expect(analysis.facts.destinations.some(({ address }) => address === shop)).toBe(true);

  const signed = await till.signPsbt(small, { ...regtest, finalize: true });
  expect(signed).toMatchObject({ signatures: 1, complete: true, feeSats: 1_000 });
  expect(signed.transaction).toMatch(/^[0-9a-f]+$/);

  // Over the limit of one transaction, then over what is left of the day.
  expect(await code(till.signPsbt(spend(ours, 100_000, [[shop, 20_000], [change.address, 79_000]]), regtest))).toBe('refused_by_policy');
  expect(await code(till.signPsbt(spend(ours, 100_000, [[shop, 9_000], [change.address, 90_000]]), regtest))).toBe('refused_by_policy');
});

test("an amount that only looks like change is somebody else's", async () => {
  const till = session('fooled', '--max-amount', '10000sat');
  const ours = await till.getBitcoinAddress(regtest);
  expect(await code(till.signPsbt(spend(ours, 100_000, [[shop, 1_000], [shop, 98_000]]), regtest))).toBe('refused_by_policy');
});

test('messages are signed, nonsense is not, and other scopes do not reach Bitcoin', async () => {
  const till = session('words');
  const { address } = await till.getBitcoinAddress(regtest);
  expect(await till.signMessage('hello', { ...regtest, address })).toMatchObject({ message: 'hello', address });
  expect(await code(till.signPsbt('nonsense', regtest))).toBe('invalid_input');
  expect(await code(till.signPsbt('cHNidP8=', { network: 'nowhere' as never }))).toMatch(/^(usage|invalid_input)$/);
  expect(await code(till.signEvent({ kind: 1 }))).toBe('refused_by_policy');
  const bot = new KeepAgentSession(undefined, { token: vault.session('bot', '--scope', 'nostr') });
  expect(await code(bot.getBitcoinAddress(regtest))).toBe('refused_by_policy');
});

test('a scope for Bitcoin narrows what may be spent', async () => {
  const token = vault.session('wide', '--scope', 'bitcoin', '--max-amount', '100000sat');
  await using till = new KeepAgentSession(createBitcoinScope({ maxSats: 2_000, payTo: [shop] }), { token });
  const ours = await till.getBitcoinAddress(regtest);
  const change = await till.getBitcoinAddress(regtest);
  const pay = (sats: number) => spend(ours, 50_000, [[shop, sats], [change.address, 49_500 - sats]]);
  expect((await till.signPsbt(pay(1_000), regtest)).signatures).toBe(1);
  expect(await code(till.signPsbt(pay(3_000), regtest))).toBe('refused_by_policy');
});
