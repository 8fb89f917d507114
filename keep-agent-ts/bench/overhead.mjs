// What a call costs beyond a bare round trip on the daemon's socket. Prints one line of JSON.
//
// Both ask the same daemon the same thing, in turns, from this process: `bare` writes and reads the frames with `node:net`,
// as the shortest program without this package would; `call` is a method of a session.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROUNDS = 40;
const CALLS = 250;
const MESSAGE = { call: 'agent.check_operation', with: { operation: 'sign_event', kind: 1 } };

const root = mkdtempSync(join(tmpdir(), 'keep-bench-'));
const runtime = join(root, 'run');
mkdirSync(runtime, { mode: 0o700 });
Object.assign(process.env, {
  HOME: root,
  KEEP_HOME: join(root, 'vault'),
  KEEP_PASSWORD: 'correct horse battery staple',
  KEEP_ALLOW_WEAK_KDF: '1',
  XDG_RUNTIME_DIR: runtime,
  XDG_STATE_HOME: join(root, 'state'),
});

const keep = (...args) => execFileSync(process.env.KEEP_BIN ?? 'keep', ['--json', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

/** A connection of our own to the daemon (docs/formats/daemon.md). */
async function bare(token) {
  const name = createHash('sha256').update('keep daemon v1').update(realpathSync(process.env.KEEP_HOME)).digest('hex').slice(0, 32);
  const socket = connect(join(runtime, 'keep', `${name}.sock`));
  let settle;
  let have = Buffer.alloc(0);
  socket.on('data', (data) => {
    have = have.length === 0 ? data : Buffer.concat([have, data]);
    if (have.length < 4 || have.length < 4 + have.readUInt32BE(0)) return;
    const frame = have.subarray(4);
    have = Buffer.alloc(0);
    settle(JSON.parse(frame));
  });
  const ask = (message) =>
    new Promise((resolve) => {
      settle = resolve;
      const body = Buffer.from(JSON.stringify(message));
      const frame = Buffer.allocUnsafe(4 + body.length);
      frame.writeUInt32BE(body.length, 0);
      body.copy(frame, 4);
      socket.write(frame);
    });
  await ask({ keep: 1, token });
  return { ask: () => ask(MESSAGE), end: () => socket.destroy() };
}

async function timed(work) {
  const times = [];
  for (let n = 0; n < CALLS; n += 1) {
    const begin = process.hrtime.bigint();
    await work();
    times.push(Number(process.hrtime.bigint() - begin) / 1000);
  }
  return times;
}

try {
  keep('init', '--kdf-memory-kib', '64', '--kdf-iterations', '1', '--kdf-lanes', '1');
  keep('generate', '--name', 'main');
  keep('unlock');
  const made = JSON.parse(keep('agent', 'create', '--name', 'bench', '--scope', 'nostr'));
  const token = readFileSync(made.token_file, 'utf8').trim();
  const { KeepAgentSession } = await import('../dist/index.js');
  const session = new KeepAgentSession(undefined, { token });
  const socket = await bare(token);
  const call = () => session.checkOperation('sign_event', 1);
  await timed(call);
  await timed(socket.ask);
  const ours = [];
  const theirs = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(...(await timed(call)));
    theirs.push(...(await timed(socket.ask)));
  }
  socket.end();
  const [callUs, bareUs] = [median(ours), median(theirs)];
  console.log(JSON.stringify({ what: 'a call from TypeScript', call_us: callUs, bare_us: bareUs, overhead_us: callUs - bareUs }));
} finally {
  try {
    keep('lock');
  } catch {
    // It is gone already.
  }
  rmSync(root, { recursive: true, force: true });
}
