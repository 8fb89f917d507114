// needs: test keep-net/third_party
// The relay pool by itself, with the relay that the clients use: a Rust test, which knows only the relay's address.

import assert from 'node:assert/strict';
import { start } from '../lib/processes.mjs';
import { startRelay } from '../lib/relay.mjs';
import { scenario, step } from '../lib/tap.mjs';

await scenario([
  step('the pool subscribes, publishes and finds stored events', async () => {
    const env = { ...process.env, KEEP_TEST_RELAY: await startRelay() };
    const child = start(process.env.TEST_BIN, ['--ignored', '--nocapture'], { env });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
    const { code } = await child.ended;
    assert.equal(code, 0, said);
    assert.match(said, /1 passed/);
  }, { limit: 120_000 }),
]);
