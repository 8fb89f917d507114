/**
 * Sign with Keep from TypeScript. The key stays in the vault, behind the daemon; what a session may do is judged there,
 * and nothing in this process can widen it.
 *
 * ```ts
 * import { KeepAgentSession, createNostrScope } from 'keep-agent';
 *
 * const session = new KeepAgentSession(createNostrScope());
 * const { requestsRemaining } = await session.getSessionInfo();
 * const event = await session.signEvent({ kind: 1, content: 'hello' });
 * ```
 */

export {
  ApprovalError,
  CallerError,
  KeepBug,
  KeepError,
  PeerError,
  PolicyError,
  StorageError,
  errorCodes,
} from './errors.js';
export type { Blame, ErrorCode, Failure } from './errors.js';
export { createNip07 } from './nip07.js';
export type { Nip07 } from './nip07.js';
export {
  RateLimits,
  createBitcoinScope,
  createFullScope,
  createNostrScope,
  createPublicScope,
} from './scope.js';
export type { NostrOptions, Preset, RateLimit, SessionScope, Spending } from './scope.js';
export { KeepAgentSession } from './session.js';
export type { SessionOptions } from './session.js';
export { keepTools } from './tools.js';
export type { InputSchema, KeepTool, Told } from './tools.js';
export type * from './views.js';
