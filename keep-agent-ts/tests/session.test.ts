// Sessions against a real vault and its daemon.

import { verifyEvent } from 'nostr-tools/pure';
import { describe, expect, test } from 'vitest';

import {
  ApprovalError,
  CallerError,
  KeepAgentSession,
  PolicyError,
  RateLimits,
  createFullScope,
  createNostrScope,
  createPublicScope,
} from 'keep-agent';
import type { Approval } from 'keep-agent';
import { Vault, code, failure } from './support/vault.js';

const vault = Vault.create();

describe('without a token', () => {
  test('the documented lines work', async () => {
    const session = new KeepAgentSession(createNostrScope());
    const info = await session.getSessionInfo();
    expect(info).toMatchObject({ state: 'active', selfMade: true, scope: 'nostr', requests: 0 });
    const check = await session.checkOperation('sign_nostr_event');
    expect(check).toMatchObject({ allowed: false, effect: 'ask', code: 'approval_unavailable' });
    expect((await session.getPublicKey()).npub).toMatch(/^npub1/);
    await session.close();
    expect(await code(session.getSessionInfo())).toBe('usage');
  });

  test('rates and durations hold, and requests are counted', async () => {
    await using session = new KeepAgentSession(createNostrScope(), { rateLimit: RateLimits.conservative, durationHours: 1 });
    await session.recordRequest();
    const info = await session.getSessionInfo();
    expect(info).toMatchObject({ requests: 1, requestsRemaining: 9, rates: { perMinute: 10, uses: 1000 } });
    expect(Date.parse(info.expiresAt ?? '') / 1000 - Date.now() / 1000).toBeLessThanOrEqual(3601);
  });

  test('a closed session is gone at the vault, too', async () => {
    const session = await KeepAgentSession.open(createPublicScope());
    const { name } = await session.getSessionInfo();
    await session.close();
    await session.close();
    expect(vault.run('agent', 'list').sessions.map((one: { name: string }) => one.name)).not.toContain(name);
  });

  test('the owner is asked, decides, and holds up nobody else meanwhile', async () => {
    await using session = new KeepAgentSession(createNostrScope());
    for (const decision of ['approve', 'deny']) {
      let settled = false;
      const signing = session.signEvent({ kind: 1, content: decision }).finally(() => (settled = true));
      signing.catch(() => {});
      let waiting: { id: string }[] = [];
      while (waiting.length === 0) {
        const listed = await vault.later('pending');
        waiting = Array.isArray(listed) ? listed : listed.pending;
        await session.getSessionInfo();
      }
      expect(settled).toBe(false);
      await vault.later(decision, waiting[0]!.id);
      if (decision === 'approve') expect((await signing).content).toBe('approve');
      else expect(await code(signing)).toBe('refused_by_person');
    }
  });
});

describe('with a token', () => {
  test('it signs, encrypts and decrypts', async () => {
    process.env['KEEP_SESSION'] = vault.session('bot', '--scope', 'nostr', '--rate', '8');
    const session = new KeepAgentSession();
    delete process.env['KEEP_SESSION'];
    const me = await session.getPublicKey();
    const event = await session.signEvent({ kind: 1, content: 'hello', tags: [['t', 'x']], created_at: 1_700_000_000 });
    expect(event).toMatchObject({ pubkey: me.pubkey, tags: [['t', 'x']], created_at: 1_700_000_000 });
    expect(verifyEvent(event)).toBe(true);
    expect(await session.decrypt(me.npub, await session.encrypt(me.pubkey, 'secret'))).toBe('secret');
    expect(await session.checkOperation('sign_nostr_event', 1)).toMatchObject({ allowed: true, effect: 'allow' });
    expect(await code(session.signEvent({ kind: 0, content: '{}' }))).toBe('refused_by_policy');
    expect((await session.getAuditTail(3)).map((entry) => entry.origin)).toContain('agent:bot');
  });

  test('a scope only narrows', async () => {
    const token = vault.session('narrow', '--scope', 'nostr', '--kinds', '1');
    {
      await using full = new KeepAgentSession(createFullScope(), { token });
      await full.signEvent({ kind: 1 });
      expect(await code(full.signEvent({ kind: 7 }))).toBe('refused_by_policy');
    }
    {
      await using small = new KeepAgentSession(createPublicScope(), { token });
      expect(await code(small.signEvent({ kind: 1 }))).toBe('refused_by_policy');
    }
    const granted = new KeepAgentSession(undefined, { token });
    await granted.close();
    // What the owner made stays.
    expect((await new KeepAgentSession(undefined, { token }).getSessionInfo()).state).toBe('active');
  });

  test('the person at the program decides, where the owner left it to it', async () => {
    const token = vault.session('asking', '--scope', 'nostr', '--kinds', '1', '--ask', '--asks', 'client');
    const asked: Approval[] = [];
    const answer = (yes: boolean) => (question: Approval) => {
      asked.push(question);
      return yes;
    };
    const willing = new KeepAgentSession(undefined, { token, approve: answer(true) });
    expect((await willing.signEvent({ kind: 0, content: '{}' })).kind).toBe(0);
    const unwilling = new KeepAgentSession(undefined, { token, approve: answer(false) });
    const refused = await failure(unwilling.signEvent({ kind: 0, content: '{}' }));
    expect(refused).toBeInstanceOf(ApprovalError);
    expect(refused.code).toBe('refused_by_person');
    expect(asked.map(({ kind, operation }) => [kind, operation])).toEqual([[0, 'sign_event'], [0, 'sign_event']]);
    const nobody = new KeepAgentSession(undefined, { token });
    expect(await code(nobody.signEvent({ kind: 0 }))).toBe('approval_unavailable');
  });

  test('a revoked session signs no more', async () => {
    const session = new KeepAgentSession(undefined, { token: vault.session('gone', '--scope', 'nostr') });
    await session.signEvent({ kind: 1 });
    vault.run('agent', 'revoke', 'gone');
    const error = await failure(session.signEvent({ kind: 1 }));
    expect(error).toBeInstanceOf(PolicyError);
    expect(error.code).toBe('not_connected');
    expect(await code(session.getSessionInfo())).toBe('not_connected');
  });

  test('a wrong token and a missing vault are said with the first call', async () => {
    const wrong = new KeepAgentSession(undefined, { token: `keep-session-${'0'.repeat(64)}` });
    expect(await code(wrong.getPublicKey())).toBe('not_connected');
    expect(await code(KeepAgentSession.open(undefined, { home: '/nonexistent/vault' }))).toBe('no_vault');
    expect(await code(KeepAgentSession.open(undefined, { sessionFile: '/nonexistent' }))).toBe('invalid_input');
  });

  test('what is wrong is said', async () => {
    const session = new KeepAgentSession(undefined, { token: vault.session('wrong', '--scope', 'nostr') });
    const error = await failure(session.encrypt('nobody', 'x'));
    expect(error).toBeInstanceOf(CallerError);
    expect(error).toMatchObject({ code: 'invalid_key', blame: 'caller' });
    expect(error.hint).not.toBe('');
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: 'invalid_key',
      blame: 'caller',
      message: error.message,
      hint: error.hint,
    });
    expect(await code(session.checkOperation('fly'))).toBe('usage');
    expect(await code(session.decrypt((await session.getPublicKey()).pubkey, 'AAAA'))).toBe('invalid_payload');
  });
});
