// What a session may do, and how often. It can only narrow what the owner granted.

/** How often a session may be used. Windows are those of the clock. */
export interface RateLimit {
  /** In each minute. */
  perMinute?: number;
  /** In each hour. */
  perHour?: number;
  /** In each day (universal time). */
  perDay?: number;
  /** In all. */
  uses?: number;
}

/** Rates with a name. */
export const RateLimits = {
  /** Ten requests a minute, and a thousand in all. */
  conservative: { perMinute: 10, uses: 1000 },
  /** As often as the owner allows. */
  unlimited: {},
} as const satisfies Record<string, RateLimit>;

/** What may be spent, fees included, and to whom. */
export interface Spending {
  /** The most satoshis that may leave with one transaction. */
  maxSats?: number;
  /** The most satoshis that may leave in any 24 hours. */
  satsPerDay?: number;
  /** Above this, a person is asked. */
  askAboveSats?: number;
  /** If not empty, only these addresses may be paid. */
  payTo?: readonly string[];
}

/** A set of operations with a name. */
export type Preset = 'public' | 'nostr' | 'bitcoin' | 'full';

/** The operations that a session is for. */
export interface SessionScope {
  /** The operations, by a name. */
  preset: Preset;
  /** Other operations than the preset's, by the words of NIP-46. */
  operations?: readonly string[];
  /** The kinds of events that may be signed. */
  kinds?: readonly number[];
  /** The only people (npub or hexadecimal) who may be written to, read from, and named by events. */
  recipients?: readonly string[];
  /** Whether a person is asked about the rest, instead of refusing it. */
  ask?: boolean;
  /** What may be spent. */
  spend?: Spending;
}

/** The public key, and nothing else. */
export function createPublicScope(): SessionScope {
  return { preset: 'public' };
}

/** What narrows a scope for Nostr. */
export type NostrOptions = Pick<SessionScope, 'kinds' | 'recipients' | 'ask'>;

/** The public key, signing events of common kinds (or of `kinds`), encrypting and decrypting. */
export function createNostrScope(options: NostrOptions = {}): SessionScope {
  return { preset: 'nostr', ...options };
}

/** Bitcoin addresses, transactions within these limits, and messages. */
export function createBitcoinScope(spend: Spending = {}): SessionScope {
  return { preset: 'bitcoin', spend };
}

/** Everything that the owner granted. */
export function createFullScope(): SessionScope {
  return { preset: 'full' };
}

/** The scope as the daemon takes it. */
export function toWire(scope: SessionScope, rate: RateLimit, hours?: number): Record<string, unknown> {
  const { maxSats, satsPerDay, askAboveSats, payTo } = scope.spend ?? {};
  return {
    preset: scope.preset,
    operations: scope.operations ?? null,
    kinds: scope.kinds ?? null,
    recipients: scope.recipients ?? null,
    exceeding: scope.ask ? 'ask' : 'refuse',
    rates: {
      per_minute: rate.perMinute ?? null,
      per_hour: rate.perHour ?? null,
      per_day: rate.perDay ?? null,
      uses: rate.uses ?? null,
    },
    spend: {
      allow: payTo ?? [],
      per_transaction_sats: maxSats ?? null,
      budgets: satsPerDay === undefined ? [] : [{ sats: satsPerDay, window_secs: 86_400 }],
      ask_above_sats: askAboveSats ?? null,
    },
    duration_secs: hours === undefined ? null : Math.round(hours * 3600),
  };
}
