// nostr-tools as an application uses it on Node.

import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { generateSecretKey, verifyEvent } from 'nostr-tools/pure';
import { BunkerSigner, parseBunkerInput } from 'nostr-tools/nip46';
import { within } from './tap.mjs';

// Node 20 has no WebSocket of its own.
globalThis.WebSocket = WebSocket;

/** How long a bunker may take to answer. */
const ANSWER_MS = 10_000;
/** How long a headless bunker may take to refuse: nobody is asked. */
const REFUSAL_MS = 5_000;

/** A client, not connected yet; with a fresh key, unless one is given. `change` may alter what the URL says. */
export async function client(bunkerUrl, change = {}, key = generateSecretKey()) {
  const pointer = await parseBunkerInput(bunkerUrl);
  assert.ok(pointer, `nostr-tools does not read ${bunkerUrl}`);
  return BunkerSigner.fromBunker(key, { ...pointer, ...change });
}

/** What the bunker answers, in time. */
export const answered = (promise) => within(ANSWER_MS, promise);

/** The bunker's error; no answer, a good answer, and a relay's error all fail. */
export async function refused(promise) {
  const outcome = await within(REFUSAL_MS, promise.then((value) => ({ value }), (reason) => ({ reason })));
  assert.ok(!('value' in outcome), `granted: ${JSON.stringify(outcome.value)}`);
  // nostr-tools rejects with the error string of the answer; everything else is an Error.
  assert.equal(typeof outcome.reason, 'string', `not the bunker's answer: ${outcome.reason}`);
  assert.notEqual(outcome.reason, '');
  return outcome.reason;
}

/** An unsigned event of this kind, as nostr-tools sends it: without author and id. */
export function template(kind, content = 'hello', tags = []) {
  return { kind, content, tags, created_at: Math.floor(Date.now() / 1000) };
}

/** Asks for a signature and checks it: author, fields as asked for, id, signature. */
export async function signs(signer, author, wanted) {
  const event = await answered(signer.signEvent(wanted));
  const { kind, content, tags, created_at } = event;
  assert.deepEqual({ kind, content, tags, created_at }, wanted);
  assert.equal(event.pubkey, author);
  // Without what nostr-tools remembers about an event that it verified before.
  assert.ok(verifyEvent(JSON.parse(JSON.stringify(event))), 'the signature does not verify');
  return event;
}
