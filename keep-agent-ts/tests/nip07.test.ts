// The object in the shape of `window.nostr`.

import { verifyEvent } from 'nostr-tools/pure';
import { expect, test } from 'vitest';

import { KeepAgentSession, createNip07 } from 'keep-agent';
import { Vault, code } from './support/vault.js';

const vault = Vault.create();

test('it signs, encrypts and decrypts', async () => {
  const nostr = createNip07(new KeepAgentSession(undefined, { token: vault.session('web', '--scope', 'nostr') }));
  const pubkey = await nostr.getPublicKey();
  expect(pubkey).toMatch(/^[0-9a-f]{64}$/);
  const template = { kind: 1, content: 'hello', tags: [], created_at: 1_700_000_000 };
  const event = await nostr.signEvent(template);
  expect(verifyEvent(event)).toBe(true);
  expect(event).toMatchObject({ ...template, pubkey });
  // Libraries give the whole event again.
  expect(await nostr.signEvent({ ...event, content: 'changed' })).toMatchObject({ content: 'changed', pubkey });
  expect(await nostr.nip44.decrypt(pubkey, await nostr.nip44.encrypt(pubkey, 'hi'))).toBe('hi');
});

test("another author's event is not signed", async () => {
  const nostr = createNip07(new KeepAgentSession(undefined, { token: vault.session('other', '--scope', 'nostr') }));
  expect(await code(nostr.signEvent({ kind: 1, pubkey: 'f'.repeat(64) }))).toBe('invalid_input');
});

test('a public key that could not be had is asked for again', async () => {
  const nostr = createNip07(new KeepAgentSession(undefined, { token: vault.session('late', '--scope', 'public') }));
  vault.kill();
  const password = process.env['KEEP_PASSWORD']!;
  delete process.env['KEEP_PASSWORD'];
  expect(await code(nostr.getPublicKey())).toBe('locked');
  process.env['KEEP_PASSWORD'] = password;
  expect(await nostr.getPublicKey()).toMatch(/^[0-9a-f]{64}$/);
});

test('what the owner locked, only the owner unlocks', async () => {
  const nostr = createNip07(new KeepAgentSession(undefined, { token: vault.session('shut', '--scope', 'public') }));
  vault.run('lock');
  expect(await code(nostr.getPublicKey())).toBe('locked');
  vault.run('unlock');
  expect(await nostr.getPublicKey()).toMatch(/^[0-9a-f]{64}$/);
});
