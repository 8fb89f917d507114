// Failures. The codes are the same in every language.

import { errorCodes as nativeCodes } from './native.js';

/** Who has to act so that it works next time. */
export type Blame = 'caller' | 'policy' | 'approval' | 'peer' | 'storage' | 'bug';

/** A stable name for each way in which something can fail. */
export type ErrorCode =
  | 'refused_by_policy'
  | 'refused_by_person'
  | 'approval_unavailable'
  | 'not_connected'
  | 'invalid_secret'
  | 'rate_limited'
  | 'usage'
  | 'not_found'
  | 'no_vault'
  | 'locked'
  | 'wrong_passphrase'
  | 'invalid_input'
  | 'invalid_key'
  | 'invalid_event'
  | 'invalid_uri'
  | 'invalid_payload'
  | 'unsupported_method'
  | 'already_exists'
  | 'relay_unreachable'
  | 'timed_out'
  | 'peer'
  | 'storage'
  | 'storage_full'
  | 'storage_busy'
  | 'storage_unsupported'
  | 'integrity'
  | 'format_too_new'
  | 'signer_unknown'
  | 'bug';

/** A failure as it is told to models and other programs. */
export interface Failure {
  code: ErrorCode;
  blame: Blame;
  message: string;
  hint: string;
}

/** A failure, with a stable code and what to do next. */
export class KeepError extends Error {
  override readonly name: string = 'KeepError';
  /** The stable code. */
  readonly code: ErrorCode;
  /** Who has to act. */
  readonly blame: Blame;
  /** What to do next. */
  readonly hint: string;

  constructor(failure: Failure) {
    super(failure.message);
    this.code = failure.code;
    this.blame = failure.blame;
    this.hint = failure.hint;
  }

  /** The parts, for programs that pass them on. */
  toJSON(): Failure {
    return { code: this.code, blame: this.blame, message: this.message, hint: this.hint };
  }
}

/** What was given is wrong. */
export class CallerError extends KeepError {
  override readonly name = 'CallerError';
}

/** A rule or a limit of the owner says no. */
export class PolicyError extends KeepError {
  override readonly name = 'PolicyError';
}

/** A person said no, or nobody could be asked. */
export class ApprovalError extends KeepError {
  override readonly name = 'ApprovalError';
}

/** A relay, a bunker or another device failed. */
export class PeerError extends KeepError {
  override readonly name = 'PeerError';
}

/** The disk, or the vault's data. */
export class StorageError extends KeepError {
  override readonly name = 'StorageError';
}

/** Something that must not happen. */
export class KeepBug extends KeepError {
  override readonly name = 'KeepBug';
}

const classes = {
  caller: CallerError,
  policy: PolicyError,
  approval: ApprovalError,
  peer: PeerError,
  storage: StorageError,
  bug: KeepBug,
} as const satisfies Record<Blame, typeof KeepError>;

/** The failure in the class that says who has to act. */
export function toError(failure: Failure): KeepError {
  return new classes[failure.blame](failure);
}

/** What a promise of the native part was rejected with. */
export function fromNative(reason: unknown): Error {
  if (!(reason instanceof Error)) return new Error(String(reason));
  try {
    const failure = JSON.parse(reason.message) as Failure;
    return failure.blame in classes ? toError(failure) : reason;
  } catch {
    return reason;
  }
}

/** What the daemon answered. A code that is not in our table comes from a newer version. */
export function fromDaemon(failure: Omit<Failure, 'blame'>): KeepError {
  blames ??= new Map(errorCodes().map(({ code, blame }) => [code, blame]));
  const blame = blames.get(failure.code);
  return toError(blame === undefined ? { ...failure, code: 'peer', blame: 'peer' } : { ...failure, blame });
}

let blames: Map<ErrorCode, Blame> | undefined;

/** Input that does not have the form it must have. */
export function invalidInput(message: string): KeepError {
  return toError({ code: 'invalid_input', blame: 'caller', message, hint: 'correct the input' });
}

/** Every code, in the order of the table, with its blame. */
export function errorCodes(): { code: ErrorCode; blame: Blame }[] {
  return JSON.parse(nativeCodes()) as { code: ErrorCode; blame: Blame }[];
}
