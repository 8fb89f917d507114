// A clock that is set back, under a real process that holds the vault: nothing that was counted comes back, and nothing that
// is over goes on.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { KeepAgentSession } from 'keep-agent';
import { Vault, code } from './support/vault.js';

const HOUR = 3_600;
const vault = Vault.create();
const file = join(vault.root, 'offset');
const library = join(vault.root, 'clock.so');
// Noon of the day after tomorrow: no window ends while this runs.
const now = Math.floor(Date.now() / 1000);
const noon = now - (now % (24 * HOUR)) + 60 * HOUR - now;

/** Sets the clock of the process that holds the vault, at once. */
function set(offset: number): void {
  writeFileSync(`${file}.new`, String(offset));
  renameSync(`${file}.new`, file);
}

/** What ends the process that holds the vault. */
let end = async (): Promise<void> => {};

/** Starts it anew. It is `keep serve`: what `keep unlock` starts has an empty environment, and so a clock that nobody sets. */
async function restart(relay: string): Promise<void> {
  await end();
  const child = spawn(vault.keep, ['--json', 'serve', '--headless', '--relay', relay], {
    env: { ...process.env, LD_PRELOAD: library, CLOCK_OFFSET: file },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  await once(createInterface({ input: child.stdout }), 'line');
  child.stdout.resume();
  end = async () => {
    child.kill('SIGTERM');
    await ended;
  };
}

/** Signs over a connection of its own: the one before may have ended with its process. */
const sign = (token: string) => new KeepAgentSession(undefined, { token }).signEvent({ kind: 1, content: 'x' });

let relay = '';

beforeAll(async () => {
  const source = fileURLToPath(new URL('../../e2e/lib/clock.c', import.meta.url));
  execFileSync(process.env['CC'] ?? 'cc', ['-shared', '-fPIC', '-o', library, source]);
  relay = (await vault.serve('quickstart', '--ephemeral')).relays[0]!;
  set(noon);
  await restart(relay);
});

afterAll(() => end());

test('the clock that is set is the one that counts', async () => {
  const session = new KeepAgentSession(undefined, { token: vault.session('late', '--scope', 'nostr') });
  expect((await session.getSessionInfo()).createdAt).toMatch(/T12:\d\d:/);
});

test('a limit that is reached stays reached, also for the next process', async () => {
  const token = vault.session('slow', '--scope', 'nostr', '--rate', '3/h');
  for (let n = 0; n < 3; n += 1) await sign(token);
  expect(await code(sign(token))).toBe('rate_limited');
  for (const back of [HOUR, 5 * HOUR, 24 * HOUR, 400 * 24 * HOUR]) {
    set(noon - back);
    expect(await code(sign(token)), `${back} seconds back`).toBe('rate_limited');
  }
  await restart(relay);
  expect(await code(sign(token)), 'restarted').toBe('rate_limited');
  // Time that passes gives the next window, once.
  set(noon + HOUR);
  await restart(relay);
  for (let n = 0; n < 3; n += 1) await sign(token);
  expect(await code(sign(token))).toBe('rate_limited');
  set(noon);
  expect(await code(sign(token))).toBe('rate_limited');
});

test('a session that is over stays over', async () => {
  set(noon + HOUR);
  const token = vault.session('short', '--scope', 'nostr', '--for', '30m');
  const session = new KeepAgentSession(undefined, { token });
  await session.signEvent({ kind: 1 });
  set(noon + 2 * HOUR);
  expect(await code(session.signEvent({ kind: 1 }))).toBe('refused_by_policy');
  for (const back of [noon + HOUR, noon, noon - 24 * HOUR]) {
    set(back);
    expect(await code(session.signEvent({ kind: 1 }))).toBe('refused_by_policy');
    expect(await code(sign(token))).toBe('not_connected');
  }
});
