// needs: nostr-sdk
// The Python nostr-sdk, which is rust-nostr's client, talks to `keep serve`.

import assert from 'node:assert/strict';
import { verifyEvent } from 'nostr-tools';
import { directory, start } from '../lib/processes.mjs';
import { Keep } from '../lib/keep.mjs';
import { startRelay } from '../lib/relay.mjs';
import { essential, scenario, step } from '../lib/tap.mjs';

await scenario([
  essential('a bunker serves', async (s) => {
    const relay = await startRelay();
    s.keep = new Keep();
    await s.keep.done('init');
    await s.keep.done('generate', '--name', 'main');
    s.first = await s.keep.serve('--relay', relay, '--policy', 'full');
  }, { limit: 60_000 }),

  essential('the client does its whole job', async (s) => {
    const child = start(process.env.NOSTR_SDK_PYTHON, [process.env.NOSTR_SDK_CLIENT, s.first.bunker_url], { cwd: directory() });
    let [said, talk] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => (said += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (talk += text));
    const { code } = await child.ended;
    assert.equal(code, 0, talk);
    s.did = said.trim().split('\n').map((line) => JSON.parse(line));
  }, { limit: 60_000 }),

  step('it learned the identity', (s) => {
    assert.equal(s.did.find(({ did }) => did === 'get_public_key').author, s.first.pubkey);
    return Promise.resolve();
  }),

  step('its events verify', (s) => {
    const events = s.did.filter(({ did }) => did === 'sign_event').map(({ event }) => event);
    assert.deepEqual(events.map(({ kind }) => kind), [1, 7, 30023]);
    for (const event of events) {
      assert.equal(event.pubkey, s.first.pubkey);
      assert.equal(event.content, 'héllo 🦀');
      assert.ok(verifyEvent(event));
    }
    return Promise.resolve();
  }),

  step('it encrypts and decrypts, and its burst is answered', (s) => {
    for (const what of ['nip44_encrypt', 'nip44_decrypt', 'nip04_decrypt']) {
      assert.equal(s.did.find(({ did }) => did === what).opened, 'for you', what);
    }
    assert.equal(s.did.find(({ did }) => did === 'burst').ids.length, 20);
    return Promise.resolve();
  }),

  step('the audit log is whole', (s) => s.keep.done('audit', 'verify')),
]);
