// NDK talks to `keep serve`: with a bunker:// address, and with an address of its own (nostrconnect://).

import assert from 'node:assert/strict';
import { nip44, verifyEvent } from 'nostr-tools';
import { generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { answered } from '../lib/client.mjs';
import { Keep } from '../lib/keep.mjs';
import { ndk, NDKEvent, NDKNip46Signer, NDKUser } from '../lib/ndk.mjs';
import { Relay } from '../lib/relay.mjs';
import { essential, scenario, step } from '../lib/tap.mjs';

const friend = generateSecretKey();
const friendKey = getPublicKey(friend);

/** Has an event signed and checks it. */
async function signs(s, kind, content, tags = []) {
  const created_at = Math.floor(Date.now() / 1000);
  const event = new NDKEvent(s.ndk, { kind, content, tags, created_at, pubkey: s.identity });
  await answered(event.sign(s.signer));
  const raw = JSON.parse(JSON.stringify(event.rawEvent()));
  assert.deepEqual([raw.kind, raw.content, raw.pubkey, raw.created_at], [kind, content, s.identity, created_at]);
  assert.ok(verifyEvent(raw), 'the signature does not verify');
}

async function refused(promise) {
  const outcome = await answered(promise.then((value) => ({ value }), (reason) => ({ reason })));
  assert.ok('reason' in outcome, `granted: ${JSON.stringify(outcome.value)}`);
}

await scenario([
  essential('a bunker serves', async (s) => {
    s.relay = (await Relay.start()).url;
    s.keep = new Keep();
    await s.keep.done('init');
    await s.keep.done('generate', '--name', 'main');
    s.first = await s.keep.serve('--relay', s.relay);
    s.identity = s.first.pubkey;
    s.ndk = await ndk(s.relay);
  }, { limit: 60_000 }),

  essential('NDK connects with the address', async (s) => {
    s.signer = NDKNip46Signer.bunker(s.ndk, s.first.bunker_url);
    const user = await answered(s.signer.blockUntilReady());
    assert.equal(user.pubkey, s.identity);
  }),

  step('events are signed', async (s) => {
    await signs(s, 1, 'hello from žofie 🦀\n"quoted"', [['t', 'keep'], ['p', friendKey]]);
    await signs(s, 30023, '# Title', [['d', 'an-article']]);
  }),

  step('thirty-two events at once are all signed', (s) =>
    Promise.all(Array.from({ length: 32 }, (_, number) => signs(s, 1, `event ${number}`)))),

  step('a text is encrypted to a friend', async (s) => {
    const sealed = await answered(s.signer.encrypt(new NDKUser({ pubkey: friendKey }), 'for you', 'nip44'));
    assert.equal(nip44.decrypt(sealed, nip44.getConversationKey(friend, s.identity)), 'for you');
  }),

  step('what the policy does not allow is refused at once', async (s) => {
    const event = new NDKEvent(s.ndk, { kind: 0, content: '{}', tags: [], created_at: 1, pubkey: s.identity });
    await refused(event.sign(s.signer));
    await refused(s.signer.decrypt(new NDKUser({ pubkey: friendKey }), 'x', 'nip44'));
    await signs(s, 1, 'still connected');
  }),

  step('a second application cannot use the address', async (s) => {
    const thief = NDKNip46Signer.bunker(await ndk(s.relay), s.first.bunker_url);
    await refused(thief.blockUntilReady());
  }),

  essential('NDK shows an address of its own, and is connected', async (s) => {
    const own = await ndk(s.relay);
    const signer = NDKNip46Signer.nostrconnect(own, s.relay, undefined, { name: 'NDK application', perms: 'sign_event:1' });
    const ready = signer.blockUntilReady();
    ready.catch(() => {});
    // Its subscription starts with the call above and says nothing when it stands.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const view = await s.keep.json('nip46', 'connect', signer.nostrConnectUri, '--policy', 'full');
    assert.equal(view.claims, 'NDK application');
    assert.ok(view.serving);
    assert.equal((await answered(ready)).pubkey, s.identity);
    Object.assign(s, { signer, ndk: own });
  }),

  step('it signs and decrypts', async (s) => {
    await signs(s, 0, '{"name":"keep"}');
    const sealed = nip44.encrypt('for keep', nip44.getConversationKey(friend, s.identity));
    assert.equal(await answered(s.signer.decrypt(new NDKUser({ pubkey: friendKey }), sealed, 'nip44')), 'for keep');
  }),

  step('after a crash it goes on without connecting again', async (s) => {
    await s.keep.end('SIGKILL');
    await s.keep.serve('--relay', s.relay);
    await signs(s, 1, 'after the crash');
  }, { limit: 40_000 }),

  step('the audit log is whole', (s) => s.keep.done('audit', 'verify')),
]);
