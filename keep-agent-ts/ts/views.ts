// What calls take and return.

import type { ErrorCode } from './errors.js';

/** An event to be signed (NIP-01). The author is the session's key. */
export interface EventTemplate {
  kind: number;
  content?: string;
  tags?: readonly (readonly string[])[];
  /** Unix seconds; now, if it is not given. */
  created_at?: number;
}

/** A signed event (NIP-01). */
export interface NostrEvent {
  id: string;
  pubkey: string;
  created_at: number;
  kind: number;
  tags: string[][];
  content: string;
  sig: string;
}

/** A public key. */
export interface Identity {
  /** In bech32 (NIP-19). */
  npub: string;
  /** In hexadecimal. */
  pubkey: string;
}

/** What a session can expect of an operation. */
export interface Check {
  /** Whether it is allowed now without asking. */
  allowed: boolean;
  /** What the rules say. */
  effect: 'allow' | 'ask' | 'deny';
  /** The code of the refusal that is to be expected. */
  code: ErrorCode | null;
  /** Why it is not allowed. */
  reason: string | null;
}

/** Limits on spending. */
export interface SpendLimits {
  /** If not empty, only these addresses may be paid. */
  allow: string[];
  /** These addresses may not be paid. */
  block: string[];
  /** The most that may leave with one transaction, fee included. */
  perTransactionSats: number | null;
  /** The most that may leave in a window of time, fees included. */
  budgets: { sats: number; windowSecs: number }[];
  maxFeeSats: number | null;
  maxFeeRateSatsPerKvb: number | null;
  /** Above this, a person is asked. */
  askAboveSats: number | null;
}

/** A session, and what is left of its limits. */
export interface SessionInfo {
  name: string;
  id: string;
  state: 'active' | 'over' | 'suspended' | 'orphaned';
  /** The name of the key, if it is still there. */
  key: string | null;
  /** The name of its scope. */
  scope: string;
  /** What its rules allow without asking. */
  operations: string[];
  /** The kinds that may be signed without asking; `null` for every kind, if events may be signed at all. */
  kinds: number[] | null;
  /** With whom messages may be exchanged and whom events may name; `null` for everybody. */
  recipients: string[] | null;
  /** Where notes may be published over MCP; `null` for every relay that the server there offers. */
  relays: string[] | null;
  /** What happens to the rest. */
  otherwise: 'ask' | 'deny';
  /** Who is asked. */
  asks: 'vault' | 'client';
  rates: { perMinute: number | null; perHour: number | null; perDay: number | null; uses: number | null };
  spend: SpendLimits;
  /** RFC 3339. */
  createdAt: string;
  /** RFC 3339. */
  expiresAt: string | null;
  /** How often it was used. */
  requests: number;
  /** How often it may still be used now; `null` for any number. */
  requestsRemaining: number | null;
  /** Whether it narrows another session. */
  narrowed: boolean;
  /** Whether it was made by the agent, and the owner's policy for agents holds beside it. */
  selfMade: boolean;
}

/** Where a transaction pays to that is not ours. */
export interface Destination {
  output: number;
  address: string | null;
  amountSats: number;
}

/** The facts about a transaction that limits are judged by. */
export interface SpendFacts {
  ownInputsSats: number | null;
  ownOutputsSats: number;
  /** What leaves us, fee included. */
  leavingSats: number | null;
  feeSats: number | null;
  feeRateSatsPerKvb: number | null;
  vsize: number;
  vsizeIsExact: boolean;
  destinations: Destination[];
  signableInputs: number;
  outputsFixed: boolean;
}

/** What a person is asked. */
export interface Approval {
  /** The session that asks. */
  session: string;
  operation: string;
  kind: number | null;
  tags: string[][];
  content: string;
  /** The other side of an encryption or decryption, in hexadecimal. */
  peer: string | null;
  spend: SpendFacts | null;
  message: { address: string | null; message: string; coins: string[]; coinsSats: number } | null;
  /** Why it is asked. */
  because: string;
}

/** A Bitcoin network. */
export type Network = 'mainnet' | 'testnet3' | 'testnet4' | 'signet' | 'regtest';

/** An account of the session's key (BIP-86). */
export interface Account {
  /** Mainnet, if it is not given. */
  network?: Network;
  /** 0, if it is not given. */
  account?: number;
}

/** An address of ours. */
export interface Address {
  address: string;
  branch: 'receive' | 'change';
  index: number;
  /** `[fingerprint/86h/0h/0h/0/0]` */
  origin: string;
  internalKey: string;
}

/** An input of a transaction. */
export interface Input {
  index: number;
  /** `txid:vout` */
  outpoint: string;
  amountSats: number | null;
  address: string | null;
  script: string | null;
  sighash: string;
  relativeLock: { kind: 'blocks'; blocks: number } | { kind: 'time'; seconds: number } | null;
  ownership:
    | { kind: 'signable'; ways: unknown[] }
    | { kind: 'signed'; key: string }
    | { kind: 'not_signable'; reason: string };
}

/** An output of a transaction. */
export interface Output {
  index: number;
  amountSats: number;
  address: string | null;
  script: string;
  scriptHex: string;
  role:
    | { kind: 'ours'; branch: 'receive' | 'change'; index: number; key: string }
    | { kind: 'identity' }
    | { kind: 'destination' }
    | { kind: 'data'; text: string };
}

/** Something to look at in a transaction. */
export interface Warning {
  code: string;
  severity: 'note' | 'caution' | 'danger';
  place: 'transaction' | { input: number } | { output: number };
  text: string;
}

/** What a transaction would do. */
export interface Analysis {
  network: Network;
  psbtVersion: number;
  txid: string;
  version: number;
  lockTime: { kind: 'none' } | { kind: 'height'; height: number } | { kind: 'time'; at: number };
  inputs: Input[];
  outputs: Output[];
  facts: SpendFacts;
  warnings: Warning[];
  /** Why it would not be signed. Empty if it would. */
  refusals: string[];
}

/** A transaction with our signatures. */
export interface SignedPsbt {
  /** The PSBT in base64. */
  psbt: string;
  /** Whether every input is final. */
  complete: boolean;
  /** The transaction in hexadecimal, if it was to be finalised. */
  transaction: string | null;
  txid: string;
  signatures: number;
  leavingSats: number | null;
  feeSats: number | null;
  /** The inputs that got no signature, each with the reason. */
  skipped: { input: number; reason: string }[];
}

/** A signed message (BIP-322). */
export interface SignedMessage {
  address: string;
  message: string;
  signature: string;
}

/** An entry of the audit log. */
export interface AuditEntry {
  seq: number;
  /** RFC 3339. */
  time: string;
  action: string;
  outcome: string;
  origin: string;
  client: string | null;
  key: string | null;
  kind: number | null;
  subject: string | null;
  reason: string | null;
}
