// The official TypeScript SDK of MCP drives `keep agent mcp`, and a person at the client decides.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Keep } from '../lib/keep.mjs';
import { startRelay } from '../lib/relay.mjs';
import { essential, scenario, step } from '../lib/tap.mjs';

/** A connected client; `answer` is what its person says, if it has one. */
async function connect(keep, flags, answer) {
  const capabilities = answer ? { elicitation: {} } : {};
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities });
  if (answer) client.setRequestHandler(ElicitRequestSchema, answer);
  const { command, args, env } = keep.command(['agent', 'mcp', ...flags]);
  const transport = new StdioClientTransport({ command, args, env, stderr: 'ignore' });
  await client.connect(transport);
  // While it runs.
  client.pid = transport.pid;
  await client.listTools();
  return client;
}

const call = (client, name, args = {}) => client.callTool({ name, arguments: args });

/** The code of the error of a tool that must fail. */
async function code(client, name, args) {
  const result = await call(client, name, args);
  assert.equal(result.isError, true, JSON.stringify(result));
  return JSON.parse(result.content[0].text).error.code;
}

await scenario([
  essential('a vault with a key and a session', async (state) => {
    state.keep = new Keep();
    await state.keep.done('init', '--kdf-memory-kib', '64', '--kdf-iterations', '1', '--kdf-lanes', '1');
    await state.keep.done('generate', '--name', 'main');
    state.token = (await state.keep.json('agent', 'create', '--name', 'bot', '--scope', 'nostr', '--rate', '4')).token_file;
  }),
  essential('the client initialises and lists tools', async (state) => {
    state.client = await connect(state.keep, ['--session-file', state.token]);
    const { tools } = await state.client.listTools();
    assert.ok(tools.some((tool) => tool.name === 'sign_event' && tool.outputSchema && tool.annotations));
    assert.match(state.client.getInstructions(), /data/);
  }),
  step('tools answer with structured results', async ({ client }) => {
    const me = (await call(client, 'get_public_key')).structuredContent;
    const { event } = (await call(client, 'sign_event', { kind: 1, content: 'hello' })).structuredContent;
    assert.equal(event.pubkey, me.pubkey);
    const { ciphertext } = (await call(client, 'encrypt', { peer: me.npub, plaintext: 'hi' })).structuredContent;
    const opened = await call(client, 'decrypt', { peer: me.npub, ciphertext });
    assert.equal(opened.structuredContent.untrusted_plaintext, 'hi');
  }),
  step('the limit is reached', async ({ client }) => {
    assert.equal(await code(client, 'sign_event', { kind: 1, content: 'one more' }), 'refused_by_policy');
    assert.equal((await call(client, 'session_info')).structuredContent.requests_remaining, 0);
    await client.close();
  }),
  step('a person accepts, and declines', async ({ keep }) => {
    for (const action of ['accept', 'decline', 'cancel']) {
      let asked = '';
      const client = await connect(keep, ['--key', 'main'], async (request) => {
        asked = request.params.message;
        return { action, content: {} };
      });
      const note = { kind: 1, content: `please ${action}` };
      if (action === 'accept') {
        const { event } = (await call(client, 'sign_event', note)).structuredContent;
        assert.equal(event.content, 'please accept');
      } else {
        const expected = action === 'decline' ? 'refused_by_person' : 'approval_unavailable';
        assert.equal(await code(client, 'sign_event', note), expected);
      }
      assert.match(asked, new RegExp(`please ${action}`));
      await client.close();
    }
  }),
  step('a revoked session is refused in the middle', async ({ keep }) => {
    const made = await keep.json('agent', 'create', '--name', 'other', '--scope', 'nostr');
    const client = await connect(keep, ['--session-file', made.token_file]);
    await call(client, 'sign_event', { kind: 1, content: 'x' });
    await keep.done('agent', 'revoke', 'other');
    assert.equal(await code(client, 'sign_event', { kind: 1, content: 'x' }), 'not_connected');
    await client.close();
  }),
  step('Bitcoin by scope', async ({ keep }) => {
    const made = await keep.json('agent', 'create', '--name', 'till', '--scope', 'bitcoin', '--max-amount', '10000sat');
    const client = await connect(keep, ['--session-file', made.token_file]);
    const network = 'regtest';
    const { address } = (await call(client, 'bitcoin_address', { network })).structuredContent;
    assert.match(address, /^bcrt1p/);
    const signed = (await call(client, 'sign_message', { message: 'hello', address, network })).structuredContent;
    assert.equal(signed.address, address);
    assert.equal(await code(client, 'analyze_psbt', { psbt: 'nonsense', network }), 'invalid_input');
    assert.equal(await code(client, 'sign_psbt', { psbt: 'nonsense', network }), 'invalid_input');
    assert.equal(await code(client, 'sign_event', { kind: 1, content: 'x' }), 'refused_by_policy');
    await client.close();
  }),
  essential('a bunker elsewhere', async (state) => {
    state.elsewhere = new Keep();
    await state.elsewhere.done('init', '--kdf-memory-kib', '64', '--kdf-iterations', '1', '--kdf-lanes', '1');
    await state.elsewhere.done('generate', '--name', 'far');
    state.far = await state.elsewhere.serve('--relay', await startRelay());
    state.url = join(state.keep.home, 'bunker.txt');
    writeFileSync(state.url, state.far.bunker_url, { mode: 0o600 });
  }),
  step('its key signs and encrypts', async (state) => {
    const { pubkey } = state.far;
    const client = await connect(state.keep, ['--bunker-file', state.url]);
    const me = (await call(client, 'get_public_key')).structuredContent;
    assert.equal(me.pubkey, pubkey);
    const { event } = (await call(client, 'sign_event', { kind: 1, content: 'from afar' })).structuredContent;
    assert.deepEqual([event.pubkey, event.content], [pubkey, 'from afar']);
    const { ciphertext } = (await call(client, 'encrypt', { peer: me.npub, plaintext: 'hi' })).structuredContent;
    assert.notEqual(ciphertext, '');
    state.client = client;
  }),
  step('its limits hold, and what it has no word for is said', async ({ client }) => {
    // The bunker's policy asks about profiles, and nobody is there.
    assert.equal(await code(client, 'sign_event', { kind: 0, content: '{}' }), 'approval_unavailable');
    for (const [tool, args] of [['session_info'], ['list_pending'], ['bitcoin_address'], ['sign_message', { message: 'x' }]]) {
      assert.equal(await code(client, tool, args), 'unsupported_method', tool);
    }
    // No model names relays that nobody offers, wherever the key is.
    const note = { content: 'x', relays: ['ws://127.0.0.1:1'] };
    assert.equal(await code(client, 'publish_note', note), 'refused_by_policy');
    await client.close();
  }),
  step('the next server is the same client, though the secret of the URL is spent', async (state) => {
    const client = await connect(state.keep, ['--bunker-file', state.url]);
    const { event } = (await call(client, 'sign_event', { kind: 1, content: 'again' })).structuredContent;
    assert.equal(event.pubkey, state.far.pubkey);
    await client.close();
    await state.elsewhere.end('SIGTERM');
  }),
  step('two servers at once share the limit of a session', async (state) => {
    const made = await state.keep.json('agent', 'create', '--name', 'pair', '--scope', 'nostr', '--rate', '7');
    state.pair = await Promise.all([0, 1].map(() => connect(state.keep, ['--session-file', made.token_file])));
    const notes = Array.from({ length: 12 }, (_, n) => call(state.pair[n % 2], 'sign_event', { kind: 1, content: `${n}` }));
    const results = await Promise.all(notes);
    assert.equal(results.filter(({ isError }) => !isError).length, 7);
    state.paired = made.token_file;
  }),
  step('a server that is killed takes nothing with it', async ({ keep, pair, paired }) => {
    const [killed, other] = pair;
    const gone = new Promise((resolve) => (killed.onclose = resolve));
    process.kill(killed.pid, 'SIGKILL');
    await gone;
    await assert.rejects(call(killed, 'session_info'));
    assert.equal((await call(other, 'session_info')).structuredContent.requests_remaining, 0);
    await other.close();
    const next = await connect(keep, ['--session-file', paired]);
    assert.equal(await code(next, 'sign_event', { kind: 1, content: 'x' }), 'refused_by_policy');
    await next.close();
  }),
]);
