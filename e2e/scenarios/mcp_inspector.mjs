// The command line of the MCP Inspector drives `keep agent mcp`.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Keep } from '../lib/keep.mjs';
import { start } from '../lib/processes.mjs';
import { essential, scenario, step } from '../lib/tap.mjs';

const inspector = createRequire(import.meta.url).resolve('@modelcontextprotocol/inspector-cli/build/index.js');
// It looks for its name where the whole Inspector, with its web interface, would have put it.
writeFileSync(join(dirname(inspector), '../../package.json'), '{"name":"inspector","version":"1.0.3"}');

/** The JSON that the Inspector prints for a method; its server has the session of the token, if there is one. */
async function inspect(state, method, ...flags) {
  const { command, args, env } = state.keep.command(['agent', 'mcp']);
  const given = { ...env, ...(state.token && { KEEP_SESSION: state.token }) };
  const asked = [inspector, command, ...args, '--method', method, ...flags];
  const child = start(process.execPath, asked, { cwd: state.keep.home, env: given });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  const { code } = await child.ended;
  assert.equal(code, 0, output.stderr);
  return JSON.parse(output.stdout);
}

const call = (state, tool, ...given) =>
  inspect(state, 'tools/call', '--tool-name', tool, ...given.flatMap((one) => ['--tool-arg', one]));

await scenario([
  essential('a vault with a key and a session', async (state) => {
    state.keep = new Keep();
    await state.keep.done('init', '--kdf-memory-kib', '64', '--kdf-iterations', '1', '--kdf-lanes', '1');
    await state.keep.done('generate', '--name', 'main');
    const made = await state.keep.json('agent', 'create', '--name', 'bot', '--scope', 'nostr', '--kinds', '1');
    state.token = readFileSync(made.token_file, 'utf8').trim();
  }),
  step('it lists tools and resources', async (state) => {
    const { tools } = await inspect(state, 'tools/list');
    const names = tools.map(({ name }) => name);
    for (const name of ['get_public_key', 'session_info', 'sign_event', 'sign_psbt']) assert.ok(names.includes(name), name);
    const { resources } = await inspect(state, 'resources/list');
    assert.ok(resources.some(({ uri }) => uri === 'keep://session'));
    const { contents } = await inspect(state, 'resources/read', '--uri', 'keep://session');
    assert.equal(JSON.parse(contents[0].text).name, 'bot');
  }),
  step('it signs, within the scope only', async (state) => {
    const signed = await call(state, 'sign_event', 'kind=1', 'content=hello from the inspector');
    assert.equal(signed.structuredContent.event.content, 'hello from the inspector');
    const refused = await call(state, 'sign_event', 'kind=0', 'content=profile');
    assert.equal(refused.isError, true);
    assert.equal(JSON.parse(refused.content[0].text).error.code, 'refused_by_policy');
  }),
  step('without a session nothing is signed unasked', async (state) => {
    state.token = undefined;
    const asking = call(state, 'sign_event', 'kind=1', 'content=x');
    let waiting = [];
    while (waiting.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const listed = await state.keep.json('pending');
      waiting = listed.pending ?? listed;
    }
    await state.keep.done('deny', waiting[0].id);
    assert.equal(JSON.parse((await asking).content[0].text).error.code, 'refused_by_person');
  }),
]);
