// Applications that begin otherwise: with an address of their own (nostrconnect://), with NIP-04, and with a token; and that
// are moved to another relay.

import assert from 'node:assert/strict';
import { nip04, nip44 } from 'nostr-tools';
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { SimplePool } from 'nostr-tools/pool';
import { BunkerSigner, createNostrConnectURI } from 'nostr-tools/nip46';
import { answered, client, refused, signs, template } from '../lib/client.mjs';
import { Keep } from '../lib/keep.mjs';
import { startRelay } from '../lib/relay.mjs';
import { essential, scenario, sleep, step, within } from '../lib/tap.mjs';

const NIP04 = { seal: (key, to, text) => nip04.encrypt(key, to, text), open: (key, from, text) => nip04.decrypt(key, from, text), is: (text) => text.includes('?iv=') };
const NIP44 = {
  seal: (key, to, text) => nip44.encrypt(text, nip44.getConversationKey(key, to)),
  open: (key, from, text) => nip44.decrypt(text, nip44.getConversationKey(key, from)),
  is: (text) => !text.includes('?iv='),
};

/** A client that speaks the protocol by hand, in either encryption. */
class Bare {
  constructor(url) {
    const address = new URL(url);
    this.remote = address.host || address.pathname.slice(2);
    this.relays = address.searchParams.getAll('relay');
    this.secret = address.searchParams.get('secret');
    this.key = generateSecretKey();
    this.pool = new SimplePool();
    this.serial = 0;
    this.waiting = new Map();
    const filter = { kinds: [24133], authors: [this.remote], '#p': [getPublicKey(this.key)] };
    this.ready = new Promise((oneose) => this.pool.subscribe(this.relays, filter, { onevent: (event) => this.take(event), oneose }));
  }

  async take(event) {
    for (const scheme of [NIP04, NIP44]) {
      if (!scheme.is(event.content)) continue;
      const reply = JSON.parse(await scheme.open(this.key, this.remote, event.content));
      this.waiting.get(reply.id)?.({ ...reply, scheme });
    }
  }

  async ask(scheme, method, ...params) {
    const id = String((this.serial += 1));
    const content = await scheme.seal(this.key, this.remote, JSON.stringify({ id, method, params }));
    const created_at = Math.floor(Date.now() / 1000);
    const event = finalizeEvent({ kind: 24133, content, tags: [['p', this.remote]], created_at }, this.key);
    const reply = new Promise((resolve) => this.waiting.set(id, resolve));
    // The answer counts, not what a busy relay says to the request, or whether it says it in time.
    Promise.allSettled(this.pool.publish(this.relays, event));
    return within(15_000, reply);
  }
}

await scenario([
  essential('a bunker serves', async (s) => {
    s.relay = await startRelay();
    s.keep = new Keep();
    await s.keep.done('init');
    await s.keep.done('generate', '--name', 'main');
    s.first = await s.keep.serve('--relay', s.relay);
    s.identity = s.first.pubkey;
  }, { limit: 60_000 }),

  essential('nostr-tools shows an address of its own, and is connected', async (s) => {
    const key = generateSecretKey();
    const uri = createNostrConnectURI({
      clientPubkey: getPublicKey(key), relays: [s.relay], secret: 'a-secret-of-its-own', name: 'My Client', perms: ['sign_event:1'],
    });
    const ready = BunkerSigner.fromURI(key, uri, {}, 20_000);
    ready.catch(() => {});
    await sleep(1000);
    const view = await s.keep.json('nip46', 'connect', uri, '--policy', 'full', '--name', 'paired');
    assert.deepEqual([view.claims, view.wishes, view.policy], ['My Client', 'sign_event:1', 'full']);
    s.signer = await answered(ready);
    assert.equal(await answered(s.signer.getPublicKey()), s.identity);
    await signs(s.signer, s.identity, template(0, '{}'));
  }),

  step('its wish is no grant: a narrower policy holds', async (s) => {
    const key = generateSecretKey();
    const uri = createNostrConnectURI({ clientPubkey: getPublicKey(key), relays: [s.relay], secret: 'another-secret-123', name: 'Greedy', perms: ['sign_event', 'nip44_decrypt'] });
    const ready = BunkerSigner.fromURI(key, uri, {}, 20_000);
    ready.catch(() => {});
    await sleep(1000);
    await s.keep.done('nip46', 'connect', uri, '--policy', 'read-only');
    const greedy = await answered(ready);
    assert.equal(await answered(greedy.getPublicKey()), s.identity);
    await refused(greedy.signEvent(template(1)));
    await greedy.close();
  }),

  essential('a client that begins with NIP-04 is answered in NIP-04', async (s) => {
    const { bunker_url } = await s.keep.json('nip46', 'token', 'create', '--policy', 'full', '--relay', s.relay, '--name', 'old');
    s.old = new Bare(bunker_url);
    await s.old.ready;
    const reply = await s.old.ask(NIP04, 'connect', s.old.remote, s.old.secret);
    assert.deepEqual([reply.result, reply.error, reply.scheme], ['ack', undefined, NIP04]);
  }),

  step('it signs in NIP-04, and in NIP-44 when it changes', async (s) => {
    for (const scheme of [NIP04, NIP44, NIP04]) {
      const reply = await s.old.ask(scheme, 'sign_event', JSON.stringify(template(1, 'hello')));
      assert.equal(reply.scheme, scheme);
      assert.equal(JSON.parse(reply.result).pubkey, s.identity);
    }
    const reply = await s.old.ask(NIP04, 'no_such_method');
    assert.ok(reply.error && reply.result === '' && reply.scheme === NIP04);
  }),

  step('switch_relays: nothing to say as long as nothing changed', async (s) => {
    assert.equal((await s.old.ask(NIP44, 'switch_relays')).result, 'null');
    assert.equal(await answered(s.signer.switchRelays()), false);
  }),

  step('switch_relays: the relays to which the owner moved the client', async (s) => {
    const other = await startRelay();
    const { moved } = await s.keep.json('nip46', 'relays', 'paired', '--relay', other);
    assert.deepEqual(moved[0].left.map((relay) => relay.replace(/\/$/, '')), [s.relay]);
    assert.equal(await answered(s.signer.switchRelays()), true);
    assert.deepEqual(s.signer.bp.relays.map((relay) => relay.replace(/\/$/, '')), [other]);
    await signs(s.signer, s.identity, template(1, 'over the other relay'));
    // Whoever has not been told is answered as before.
    assert.equal((await s.old.ask(NIP44, 'switch_relays')).result, 'null');
    s.other = other;
  }, { limit: 40_000 }),

  step('after a restart both relays are served', async (s) => {
    await s.keep.end('SIGKILL');
    await s.keep.serve('--relay', s.relay);
    await signs(s.signer, s.identity, template(1, 'again'));
    assert.equal((await s.old.ask(NIP04, 'ping')).result, 'pong');
    await s.keep.done('nip46', 'relays', 'old', '--relay', s.other, '--relay', s.relay);
    const told = JSON.parse((await s.old.ask(NIP04, 'switch_relays')).result);
    assert.deepEqual(told.map((relay) => relay.replace(/\/$/, '')), [s.other, s.relay]);
  }, { limit: 40_000 }),

  step('logout: acknowledged, and then refused', async (s) => {
    assert.equal((await s.old.ask(NIP44, 'logout')).result, 'ack');
    assert.ok((await s.old.ask(NIP44, 'ping')).error);
  }),
]);
