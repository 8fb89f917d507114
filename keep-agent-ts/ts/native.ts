// The native part: calls by name, with JSON in and out.

import { createRequire } from 'node:module';

/** A session, as the native part knows it. Each method gives the JSON of a reply. */
export interface NativeSession {
  /** The number of a socket at the daemon, after the greeting; `null` where calls go through `call` only. */
  connect(): Promise<string>;
  call(name: string, parameters: string): Promise<string>;
  close(): Promise<string>;
}

interface Native {
  Session: new (options: string) => NativeSession;
  errorCodes(): string;
}

const native = createRequire(import.meta.url)('./keep_agent.node') as Native;

export const { Session, errorCodes } = native;
