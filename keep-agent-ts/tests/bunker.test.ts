// A bunker elsewhere in place of a vault here: its limits are those of its own grant.

import { verifyEvent } from 'nostr-tools/pure';
import { expect, test } from 'vitest';

import { KeepAgentSession, createNip07, createNostrScope } from 'keep-agent';
import { Vault, code } from './support/vault.js';

const vault = Vault.create();
// A relay of this machine, and a bunker on it that asks nobody.
const { relays } = await vault.serve('quickstart', '--ephemeral');
const { bunker_url: bunker } = await vault.serve('serve', '--headless', '--relay', relays[0]!);

test('it signs and encrypts, and what is not granted is refused with the code of the bunker', async () => {
  await using session = new KeepAgentSession(undefined, { bunker });
  const { pubkey, npub } = await session.getPublicKey();
  const event = await session.signEvent({ kind: 1, content: 'from afar' });
  expect(verifyEvent(event)).toBe(true);
  expect(event).toMatchObject({ pubkey, content: 'from afar' });
  expect(await session.encrypt(npub, 'hi')).not.toBe('');
  expect(await code(session.signEvent({ kind: 5 }))).toMatch(/^(refused_by_policy|approval_unavailable)$/);
  expect(await code(session.signEvent({ kind: '1' as never }))).toBe('invalid_input');
  for (const call of [
    () => session.getSessionInfo(),
    () => session.recordRequest(),
    () => session.signPsbt('cHNidP8='),
  ]) {
    expect(await code(call())).toBe('unsupported_method');
  }
});

test('the next process is the same client, though the secret of the URL is spent', async () => {
  process.env['KEEP_BUNKER'] = bunker;
  await using session = new KeepAgentSession();
  expect((await createNip07(session).signEvent({ kind: 7, content: '+' })).kind).toBe(7);
  delete process.env['KEEP_BUNKER'];
});

test('no scope goes with a bunker, and other URLs are none', async () => {
  expect(await code(KeepAgentSession.open(createNostrScope(), { bunker }))).toBe('usage');
  expect(await code(KeepAgentSession.open(undefined, { bunker: 'https://example.com' }))).toBe('invalid_uri');
});
