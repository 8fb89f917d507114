// What callers and models give, read strictly: before anything is asked of the vault.

import { invalidInput } from './errors.js';
import type { Account, EventTemplate } from './views.js';

type Fields = Record<string, unknown>;

/** The fields of an object, if there are no others than these. */
export function fields(value: unknown, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidInput('this is no object');
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalidInput(`there is no field "${unknown.slice(0, 40)}" here`);
  return value as Fields;
}

/** A text. */
export function text(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalidInput(`"${name}" is no text`);
  return value;
}

/** A whole number from 0 to `max`. */
export function whole(value: unknown, name: string, max: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
    throw invalidInput(`"${name}" is no whole number from 0 to ${max}`);
  }
  return value;
}

/** The kind of an event. */
export function kind(value: unknown): number {
  return whole(value, 'kind', 65_535);
}

/** An event to be signed; at this time, if it says none. */
export function template(value: EventTemplate): Required<EventTemplate> {
  const given = fields(value, ['kind', 'content', 'tags', 'created_at']);
  const tags = given['tags'] ?? [];
  const isTag = (tag: unknown) => Array.isArray(tag) && tag.every((part) => typeof part === 'string');
  if (!Array.isArray(tags) || !tags.every(isTag)) throw invalidInput('"tags" are no lists of texts');
  return {
    kind: kind(given['kind']),
    content: text(given['content'] ?? '', 'content'),
    tags: tags as string[][],
    created_at: whole(given['created_at'] ?? Math.floor(Date.now() / 1000), 'created_at'),
  };
}

/** An account, as the daemon takes it. */
export function account(value: Account): Required<Account> {
  const { network = 'mainnet', account: number = 0 } = value;
  return { network, account: whole(number, 'account', 0x7fff_ffff) };
}
