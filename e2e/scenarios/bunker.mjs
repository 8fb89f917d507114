// nostr-tools talks to `keep serve` over nostr-relay: the whole job, a crash in the middle, and who is kept out.

import assert from 'node:assert/strict';
import { nip04, nip19, nip44 } from 'nostr-tools';
import { generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { answered, client, refused, signs, template } from '../lib/client.mjs';
import { Keep } from '../lib/keep.mjs';
import { startRelay } from '../lib/relay.mjs';
import { essential, scenario, step } from '../lib/tap.mjs';

const friend = generateSecretKey();
const friendKey = getPublicKey(friend);

await scenario([
  essential('an independent relay starts', async (s) => {
    s.relay = await startRelay();
  }),

  essential('init and generate make a vault with a key', async (s) => {
    s.keep = new Keep();
    await s.keep.done('init');
    await s.keep.done('generate', '--name', 'main');
    const { keys } = await s.keep.json('list');
    assert.equal(keys.length, 1);
    assert.equal(keys[0].name, 'main');
    assert.match(keys[0].pubkey, /^[0-9a-f]{64}$/);
    assert.deepEqual(nip19.decode(keys[0].npub), { type: 'npub', data: keys[0].pubkey });
    s.identity = keys[0].pubkey;
  }),

  essential('serve says where it can be reached', async (s) => {
    s.first = await s.keep.serve('--relay', s.relay, '--policy', 'full');
    assert.equal(s.first.pubkey, s.identity);
    assert.equal(nip19.decode(s.first.npub).data, s.identity);
    assert.equal(s.first.relays.length, 1);
    assert.equal(s.first.relays[0].replace(/\/$/, ''), s.relay);
    s.signer = await client(s.first.bunker_url);
    assert.ok(s.signer.bp.secret, 'the URL has no secret');
    assert.notEqual(s.signer.bp.pubkey, s.identity, 'the identity key is used for transport');
  }),

  step('a client with a wrong secret is refused', async (s) => {
    const stranger = await client(s.first.bunker_url, { secret: 'x'.repeat(s.signer.bp.secret.length) });
    await refused(stranger.connect());
    await refused(stranger.getPublicKey());
    await stranger.close();
  }),

  step('a client that did not connect is refused', async (s) => {
    const stranger = await client(s.first.bunker_url);
    await refused(stranger.getPublicKey());
    await refused(stranger.signEvent(template(1)));
    await stranger.close();
  }),

  essential('the client connects with the secret of the URL', (s) => answered(s.signer.connect())),

  step('connecting again with the same key is no error', (s) => answered(s.signer.connect())),

  step('get_public_key tells the identity', async (s) => {
    assert.equal(await answered(s.signer.getPublicKey()), s.identity);
  }),

  step('ping', (s) => answered(s.signer.ping())),

  step('sign_event gives an event that verifies', async (s) => {
    await signs(s.signer, s.identity, template(1, 'hello from žofie 🦀\n"quoted"', [['t', 'keep'], ['p', friendKey]]));
  }),

  step('thirty-two events at once are all signed', async (s) => {
    const wanted = Array.from({ length: 32 }, (_, number) => template(1, `event ${number}`));
    await Promise.all(wanted.map((event) => signs(s.signer, s.identity, event)));
  }),

  step('nip44_encrypt: the friend can read it', async (s) => {
    const sealed = await answered(s.signer.nip44Encrypt(friendKey, 'for you'));
    assert.equal(nip44.decrypt(sealed, nip44.getConversationKey(friend, s.identity)), 'for you');
  }),

  step('nip44_decrypt: the friend is read', async (s) => {
    const sealed = nip44.encrypt('for keep', nip44.getConversationKey(friend, s.identity));
    assert.equal(await answered(s.signer.nip44Decrypt(friendKey, sealed)), 'for keep');
  }),

  step('nip04_encrypt and nip04_decrypt', async (s) => {
    const sealed = await answered(s.signer.nip04Encrypt(friendKey, 'for you'));
    assert.equal(await nip04.decrypt(friend, s.identity, sealed), 'for you');
    const theirs = await nip04.encrypt(friend, s.identity, 'for keep');
    assert.equal(await answered(s.signer.nip04Decrypt(friendKey, theirs)), 'for keep');
  }),

  step('a method that does not exist gets an error', (s) => refused(s.signer.sendRequest('no_such_method', []))),

  step('a payload that does not open gets an error', async (s) => {
    const sealed = nip44.encrypt('for somebody else', nip44.getConversationKey(friend, friendKey));
    await refused(s.signer.nip44Decrypt(friendKey, sealed));
  }),

  step('an event in the name of somebody else gets an error', (s) =>
    refused(s.signer.sendRequest('sign_event', [JSON.stringify({ ...template(1), pubkey: friendKey })]))),

  step('other processes use the vault meanwhile', async (s) => {
    await s.keep.done('generate', '--name', 'second');
    const { keys } = await s.keep.json('list');
    assert.deepEqual(keys.map((key) => key.name).sort(), ['main', 'second']);
    await s.keep.done('audit', 'verify');
    await answered(s.signer.ping());
  }),

  step('the spent secret connects nobody else', async (s) => {
    const thief = await client(s.first.bunker_url);
    await refused(thief.connect());
    await refused(thief.getPublicKey());
    await thief.close();
  }),

  essential('killed and started again', async (s) => {
    await s.keep.end('SIGKILL');
    s.second = await s.keep.serve('--relay', s.relay, '--policy', 'full', '--key', 'main');
    assert.equal(s.second.pubkey, s.identity);
  }),

  step('the same client goes on without connecting again', async (s) => {
    await answered(s.signer.ping());
    await signs(s.signer, s.identity, template(1, 'after the crash'));
    const sealed = await answered(s.signer.nip44Encrypt(friendKey, 'still here'));
    assert.equal(nip44.decrypt(sealed, nip44.getConversationKey(friend, s.identity)), 'still here');
  }),

  step('the crash did not bring the spent secret back', async (s) => {
    const thief = await client(s.first.bunker_url);
    await refused(thief.connect());
    await thief.close();
  }),

  step('the audit log is whole', async (s) => {
    await s.keep.done('audit', 'verify');
    const log = await s.keep.done('--json', 'audit', 'list');
    assert.ok(log.stdout.includes('sign_event'), 'no signature in the audit log');
  }),

  step('serve ends when it is told to', (s) => s.keep.end('SIGTERM'), { limit: 10_000 }),
]);
