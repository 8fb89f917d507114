// Relays come and go: a bunker whose only relay goes away stays, and is reachable again when the relay is back.

import assert from 'node:assert/strict';
import { generateSecretKey } from 'nostr-tools/pure';
import { answered, client, signs, template } from '../lib/client.mjs';
import { Keep } from '../lib/keep.mjs';
import { Relay } from '../lib/relay.mjs';
import { comment, essential, scenario, sleep, step, within } from '../lib/tap.mjs';

/** How long the bunker may take to find its relay again. */
const RETURN_MS = 90_000;

const key = generateSecretKey();

/** Asks again and again with fresh connections, as an application does that is opened now and then. */
async function reachable(state) {
  for (;;) {
    const signer = await client(state.url, {}, key);
    const alive = await within(3_000, signer.ping()).then(() => true, () => false);
    if (alive) return signer;
    await signer.close();
    await sleep(500);
  }
}

await scenario([
  essential('a client is connected', async (s) => {
    s.relay = await Relay.start();
    s.keep = new Keep();
    await s.keep.done('init');
    await s.keep.done('generate', '--name', 'main');
    const { bunker_url, pubkey } = await s.keep.serve('--relay', s.relay.url);
    Object.assign(s, { url: bunker_url, identity: pubkey });
    const signer = await client(bunker_url, {}, key);
    await answered(signer.connect());
    await answered(signer.ping());
  }, { limit: 60_000 }),

  step('the bunker survives the loss of its only relay', async (s) => {
    await s.relay.goAway();
    await sleep(3_000);
    assert.equal(s.keep.serving.exitCode, null, 'keep serve ended');
    assert.equal(s.keep.serving.signalCode, null, 'keep serve was ended');
  }),

  step('when the relay is back, the same client is served', async (s) => {
    await s.relay.comeBack();
    const begin = Date.now();
    const signer = await reachable(s);
    comment(`reachable again after ${((Date.now() - begin) / 1000).toFixed(1)} s`);
    await signs(signer, s.identity, template(1, 'after the relay came back'));
  }, { limit: RETURN_MS }),
]);
