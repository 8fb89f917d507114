// The codes are those of every other language.

import { readFileSync } from 'node:fs';
import { expect, expectTypeOf, test } from 'vitest';

import { KeepError, errorCodes } from 'keep-agent';
import type { ErrorCode } from 'keep-agent';
import { toError } from '../dist/errors.js';

const golden = readFileSync(new URL('../../crates/keep-types/tests/golden/errors.tsv', import.meta.url), 'utf8');
const rows = golden.trimEnd().split('\n').map((line) => line.split('\t'));

test('codes and blames are those of the golden file', () => {
  expect(errorCodes()).toEqual(rows.map(([code, blame]) => ({ code, blame: blame?.toLowerCase() })));
});

test('the type names each of them', () => {
  const declared = readFileSync(new URL('../ts/errors.ts', import.meta.url), 'utf8');
  const union = /type ErrorCode =([^;]*);/.exec(declared)?.[1] ?? '';
  expect([...union.matchAll(/'([a-z_]+)'/g)].map((match) => match[1])).toEqual(rows.map(([code]) => code));
  expectTypeOf<'locked'>().toExtend<ErrorCode>();
  expectTypeOf<'nonsense'>().not.toExtend<ErrorCode>();
});

test('each blame has a class', () => {
  const names = { caller: 'CallerError', policy: 'PolicyError', approval: 'ApprovalError', peer: 'PeerError', storage: 'StorageError', bug: 'KeepBug' };
  for (const { code, blame } of errorCodes()) {
    const error = toError({ code, blame, message: 'm', hint: 'h' });
    expect(error).toBeInstanceOf(KeepError);
    expect(error).toMatchObject({ name: names[blame], code, blame, message: 'm', hint: 'h' });
  }
});
