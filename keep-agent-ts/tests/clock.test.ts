// A clock that is set back, under a real daemon: nothing that was counted comes back, and nothing that is over goes on.

import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';

import { KeepAgentSession } from 'keep-agent';
import { Vault, code } from './support/vault.js';

const HOUR = 3_600;
const vault = Vault.create();
const file = join(vault.root, 'offset');
// Noon of the day after tomorrow: no window ends while this runs.
const now = Math.floor(Date.now() / 1000);
const noon = now - (now % (24 * HOUR)) + 60 * HOUR - now;

/** Sets the clock of everything that is started from here, at once. */
function set(offset: number): void {
  writeFileSync(`${file}.new`, String(offset));
  renameSync(`${file}.new`, file);
}

beforeAll(() => {
  const library = join(vault.root, 'clock.so');
  const source = fileURLToPath(new URL('../../e2e/lib/clock.c', import.meta.url));
  execFileSync(process.env['CC'] ?? 'cc', ['-shared', '-fPIC', '-o', library, source]);
  vault.run('lock');
  Object.assign(process.env, { LD_PRELOAD: library, CLOCK_OFFSET: file });
});

test('the clock that is set is the one of the daemon', async () => {
  set(noon);
  const session = new KeepAgentSession(undefined, { token: vault.session('late', '--scope', 'nostr') });
  const { createdAt } = await session.getSessionInfo();
  expect(createdAt).toContain('T12:0');
});

/** Signs over a connection of its own: the one before may have ended with its daemon. */
const sign = (token: string) => new KeepAgentSession(undefined, { token }).signEvent({ kind: 1, content: 'x' });

test('a limit that is reached stays reached, also for the next daemon', async () => {
  const token = vault.session('slow', '--scope', 'nostr', '--rate', '3/h');
  for (let n = 0; n < 3; n += 1) await sign(token);
  expect(await code(sign(token))).toBe('rate_limited');
  for (const back of [HOUR, 5 * HOUR, 24 * HOUR, 400 * 24 * HOUR]) {
    set(noon - back);
    expect(await code(sign(token)), `${back} seconds back`).toBe('rate_limited');
    vault.run('lock');
    expect(await code(sign(token)), `${back} seconds back, restarted`).toBe('rate_limited');
  }
  // Time that passes gives the next window, once.
  vault.run('lock');
  set(noon + HOUR);
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
