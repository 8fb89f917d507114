// Limits against programs that want more.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { KeepAgentSession, PolicyError, createNostrScope } from 'keep-agent';
import { Session } from '../dist/native.js';
import { Wires } from '../dist/wire.js';
import { Vault, code } from './support/vault.js';

const vault = Vault.create();

test('many calls at once do not exceed the limit', async () => {
  const token = vault.session('many', '--scope', 'nostr', '--rate', '10');
  const sessions = Array.from({ length: 4 }, () => new KeepAgentSession(undefined, { token }));
  const calls = Array.from({ length: 40 }, (_, n) => sessions[n % 4]!.signEvent({ kind: 1, content: `${n}` }));
  const outcomes = await Promise.allSettled(calls);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map((outcome) => outcome.reason);
  expect(refused.every((reason) => reason instanceof PolicyError && reason.code === 'refused_by_policy')).toBe(true);
});

test('several processes share one session, and its limit', async () => {
  const token = vault.session('shared', '--scope', 'nostr', '--rate', '9');
  const script = fileURLToPath(new URL('support/signer.mjs', import.meta.url));
  const signed = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const child = spawn(process.execPath, [script, '6'], {
        env: { ...process.env, KEEP_SESSION: token },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      for await (const text of child.stdout.setEncoding('utf8')) said += text;
      return Number(said);
    }),
  );
  expect(signed.reduce((sum, one) => sum + one, 0)).toBe(9);
  const info = await new KeepAgentSession(undefined, { token }).getSessionInfo();
  expect(info).toMatchObject({ requests: 9, requestsRemaining: 0 });
});

test('a daemon that is killed and started again keeps what was counted', async () => {
  const token = vault.session('lasting', '--scope', 'nostr', '--rate', '4');
  const session = new KeepAgentSession(undefined, { token });
  await session.signEvent({ kind: 1, content: 'before' });
  const pid = vault.run('status').pid as number;
  process.kill(pid, 'SIGKILL');
  // The connection is dead: whether this was done is unknown to it, so it is not repeated. The next call starts a daemon.
  const first = await session.signEvent({ kind: 1, content: 'during' }).then(() => null, (reason) => reason.code);
  expect([null, 'locked']).toContain(first);
  expect((await session.signEvent({ kind: 1, content: 'after' })).content).toBe('after');
  expect(vault.run('status').pid).not.toBe(pid);
  const { requests } = await session.getSessionInfo();
  expect(requests).toBe(first === null ? 3 : 2);
  const rest = await Promise.allSettled(Array.from({ length: 4 }, () => session.signEvent({ kind: 1 })));
  expect(rest.filter(({ status }) => status === 'fulfilled')).toHaveLength(4 - requests);
});

test('a call that waits for a person fails when the daemon is killed, and other calls wait for their turn', async () => {
  await using session = new KeepAgentSession(createNostrScope());
  const waiting = code(session.signEvent({ kind: 1, content: 'waits' }));
  while ((await vault.later('pending')).pending.length === 0);
  process.kill(vault.run('status').pid as number, 'SIGKILL');
  expect(await waiting).toBe('locked');
  const many = await Promise.all(Array.from({ length: 500 }, () => session.checkOperation('sign_event', 1)));
  expect(many).toHaveLength(500);
});

test('kinds that are no whole numbers are refused before anything is asked', async () => {
  const token = vault.session('kinds', '--scope', 'nostr', '--kinds', '1');
  const session = new KeepAgentSession(undefined, { token });
  for (const kind of ['1', '1e0', 1.5, -1, 65_536, 65_537, Number.NaN, Infinity, true, null, undefined, [1], { valueOf: () => 1 }]) {
    expect(await code(session.signEvent({ kind: kind as number })), String(kind)).toBe('invalid_input');
  }
  for (const template of [
    { kind: 1, pubkey: '0'.repeat(64) },
    { kind: 1, id: '0'.repeat(64) },
    { kind: 1, tags: [['p', 1]] },
    { kind: 1, tags: 'p' },
    { kind: 1, content: { toString: () => 'x' } },
    { kind: 1, created_at: -1 },
    [1],
  ]) {
    expect(await code(session.signEvent(template as never)), JSON.stringify(template)).toBe('invalid_input');
  }
  expect((await session.getSessionInfo()).requests).toBe(0);
});

test('what is smuggled past the package is refused by the daemon', async () => {
  const token = vault.session('raw', '--scope', 'nostr', '--kinds', '1', '--rate', '5');
  const native = new Session(JSON.stringify({ token }));
  const wires = new Wires(async () => JSON.parse(await native.connect()));
  const call = (name: string, parameters: string): Promise<string | undefined> =>
    wires.call(name, parameters).then(() => undefined, (error) => error.code);
  const event = (fields: string) => `{"template":{"content":"","tags":[],"created_at":1,${fields}}}`;
  for (const fields of ['"kind":0,"kind":1', '"kind":1,"kind":0', '"kind":"1"', '"kind":1.0', '"kind":65537', '"kind":-1', '"kind":1e0', '"kind":null']) {
    expect(await call('agent.sign_event', event(fields)), fields).toMatch(/^(usage|invalid_input|invalid_event)$/);
  }
  expect(await call('agent.sign_event', event('"kind":0'))).toBe('refused_by_policy');
  expect(await call('agent.sign_event', event('"kind":0,"approved":true'))).toBe('refused_by_policy');
  // A note that carries an event of another kind is a note.
  const nested = JSON.stringify({ template: { kind: 1, tags: [], created_at: 1, content: '{"kind":0,"content":"{}"}' } });
  expect(await call('agent.sign_event', nested)).toBeUndefined();
  for (const name of ['keys.export_nsec', 'agent.create', 'agent.list', 'daemon.lock', 'daemon.manage', 'approvals.decide', 'sign.event']) {
    expect(await call(name, '{}'), name).toMatch(/^(refused_by_policy|unsupported_method)$/);
  }
  expect(await call('daemon.lock","call":"agent.session_info', '{}')).toMatch(/^(usage|refused_by_policy)$/);
  // Frames that are none end the connection, and nothing else.
  expect(await call('agent.session_info', 'nonsense')).toBe('usage');
  expect((await new KeepAgentSession(undefined, { token }).getSessionInfo()).requests).toBe(1);
});

test('a megabyte is signed as it is', async () => {
  const session = new KeepAgentSession(undefined, { token: vault.session('large', '--scope', 'nostr') });
  const content = 'ä€😀"\\\n'.repeat(100_000);
  expect((await session.signEvent({ kind: 1, content })).content).toBe(content);
  expect(await code(session.signEvent({ kind: 1, content: 'x'.repeat(40 << 20) }))).toMatch(/^(usage|invalid_input|locked)$/);
  await session.signEvent({ kind: 1, content: 'small again' });
});
