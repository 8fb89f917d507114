// Calls by their names, over the daemon's socket or to a bunker.

import { fromNative } from './errors.js';
import { Session } from './native.js';
import { Wires } from './wire.js';

/** A session's calls. It is reached with the first one. */
export class Calls {
  readonly #native;
  readonly #wires = new Wires(() => this.#socket());

  /** `options` are the JSON of what the native part takes. */
  constructor(options: string) {
    this.#native = new Session(options);
  }

  /** Reaches the session. */
  open(): Promise<void> {
    return this.#wires.open();
  }

  /** Makes a call. */
  async make(name: string, parameters: object): Promise<unknown> {
    const json = JSON.stringify(parameters);
    const answer = await this.#wires.call(name, json);
    if (answer !== undefined) return answer.reply;
    return JSON.parse(await this.#native.call(name, json).catch(fail));
  }

  /** Ends the session, if it was made here. */
  async close(): Promise<void> {
    this.#wires.end();
    await this.#native.close().catch(fail);
  }

  async #socket(): Promise<number | null> {
    return JSON.parse(await this.#native.connect().catch(fail)) as number | null;
  }
}

function fail(reason: unknown): never {
  throw fromNative(reason);
}
