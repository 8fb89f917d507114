// The example, as a person runs it.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { verifyEvent } from 'nostr-tools/pure';
import { expect, test } from 'vitest';

import { Vault } from './support/vault.js';

const vault = Vault.create();
const root = fileURLToPath(new URL('..', import.meta.url));

test('the bot signs what it reads until its limit', () => {
  const made = vault.run('agent', 'create', '--name', 'bot', '--scope', 'nostr', '--kinds', '1', '--rate', '3');
  const ran = spawnSync('npm', ['run', '--silent', 'example', '--', made.token_file], {
    cwd: root,
    encoding: 'utf8',
    input: 'one\ntwo\nthree\n',
  });
  const events = ran.stdout.trim().split('\n').map((line) => JSON.parse(line));
  expect(ran.status, ran.stderr).toBe(0);
  expect(events.map(({ content }) => content)).toEqual(['one', 'two']);
  expect(events.every((event) => verifyEvent(event))).toBe(true);
  expect(ran.stderr).toMatch(/bot signs for npub1/);
  expect(ran.stderr).toMatch(/limit|uses|often/i);
});
