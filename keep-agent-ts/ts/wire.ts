// The daemon's socket (docs/formats/daemon.md), after the greeting.
//
// The native part finds the daemon, checks who is there, shows the token, and hands the socket over. Calls are then made
// from Node's own loop: handing each one to a thread and back would cost more than the round trip itself.

import { Socket } from 'node:net';

import { fromDaemon, toError } from './errors.js';
import type { Failure } from './errors.js';

/** The longest request that the daemon reads, in bytes. */
const LONGEST = 32 << 20;
/** How many sockets are kept while nobody uses them, and for how many milliseconds. */
const IDLE = { most: 8, ms: 10_000 };
/** How many calls a session makes at a time; the others wait. The daemon takes 192 sockets of sessions. */
const BUSY = 32;

interface Waiting {
  resolve: (reply: unknown) => void;
  reject: (error: Error) => void;
}

/** One socket: one call at a time. */
class Wire {
  readonly #socket: Socket;
  #waiting: Waiting | undefined;
  #chunks: Buffer[] = [];
  #have = 0;
  /** Whether it can be used. */
  open = true;

  constructor(fd: number) {
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#lose(error.code));
    this.#socket.on('close', () => this.#lose());
    this.#socket.on('timeout', () => this.end());
  }

  ask(frame: Buffer): Promise<unknown> {
    this.#socket.ref();
    this.#socket.setTimeout(0);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(frame);
    });
  }

  /** Does not keep the program running, and goes when nobody needs it. */
  rest(): void {
    this.#socket.unref();
    this.#socket.setTimeout(IDLE.ms);
  }

  end(): void {
    this.open = false;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#have += chunk.length;
    if (this.#have < 4) return;
    const whole = this.#chunks.length === 1 ? chunk : this.#whole();
    if (this.#have < 4 + whole.readUInt32BE(0)) return;
    this.#chunks = [];
    this.#have = 0;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    try {
      waiting?.resolve(JSON.parse(whole.toString('utf8', 4)));
    } catch {
      waiting?.reject(strange());
      this.end();
    }
  }

  /** What has come, in one piece, once enough has come for another look. */
  #whole(): Buffer {
    const first = this.#chunks[0]!;
    const length = first.length >= 4 ? first.readUInt32BE(0) : 0;
    if (length > 0 && this.#have < 4 + length) return first;
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #lose(code?: string): void {
    this.open = false;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(code === 'EPIPE' ? new Unheard() : gone());
  }
}

/** The daemon had gone before it could hear the call. */
class Unheard extends Error {}

/** A session's sockets: one for each call that waits. */
export class Wires {
  readonly #connect: () => Promise<number | null>;
  readonly #idle: Wire[] = [];
  #busy = 0;
  readonly #queue: (() => void)[] = [];
  /** Whether there is a socket at all; known after the first one was asked for. */
  #none = false;
  #over = false;

  /** `connect` gives the number of a socket, or `null` where there is none. */
  constructor(connect: () => Promise<number | null>) {
    this.#connect = connect;
  }

  /** Connects. */
  async open(): Promise<void> {
    const wire = await this.#wire();
    if (wire !== undefined) this.#keep(wire);
  }

  /** Makes a call; `undefined` where there is no socket. What may have been done is not repeated. */
  async call(name: string, parameters: string): Promise<{ reply: unknown } | undefined> {
    if (this.#none) return undefined;
    const frame = framed(name, parameters);
    if (this.#busy >= BUSY) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#busy += 1;
    try {
      return await this.#ask(frame, false);
    } finally {
      this.#busy -= 1;
      this.#queue.shift()?.();
    }
  }

  async #ask(frame: Buffer, again: boolean): Promise<{ reply: unknown } | undefined> {
    const wire = await this.#wire();
    if (wire === undefined) return undefined;
    try {
      return { reply: answer(await wire.ask(frame)) };
    } catch (error) {
      if (!(error instanceof Unheard)) throw error;
      if (again) throw gone();
    } finally {
      this.#keep(wire);
    }
    return this.#ask(frame, true);
  }

  /** Lets every socket go. */
  end(): void {
    this.#over = true;
    for (const wire of this.#idle.splice(0)) wire.end();
  }

  /** One that nobody uses now. */
  async #wire(): Promise<Wire | undefined> {
    for (let wire = this.#idle.pop(); wire !== undefined; wire = this.#idle.pop()) if (wire.open) return wire;
    const fd = await this.#connect();
    this.#none = fd === null;
    return fd === null ? undefined : new Wire(fd);
  }

  #keep(wire: Wire): void {
    if (!wire.open) return;
    if (this.#over || this.#idle.length >= IDLE.most) return wire.end();
    wire.rest();
    this.#idle.push(wire);
  }
}

function framed(name: string, parameters: string): Buffer {
  const text = `{"call":"${name}","with":${parameters}}`;
  const length = Buffer.byteLength(text);
  if (length > LONGEST) {
    const message = `this is too long: ${length} bytes`;
    throw toError({ code: 'invalid_input', blame: 'caller', message, hint: `the longest call has ${LONGEST} bytes` });
  }
  const frame = Buffer.allocUnsafe(4 + length);
  frame.writeUInt32BE(length, 0);
  frame.write(text, 4);
  return frame;
}

function answer(reply: unknown): unknown {
  const { ok, error } = reply as { ok?: unknown; error?: Omit<Failure, 'blame'> };
  if (error) throw fromDaemon(error);
  return ok;
}

function strange(): Error {
  return toError({
    code: 'peer',
    blame: 'peer',
    message: 'the daemon answered something that this version does not understand',
    hint: 'it may be of another version: `keep lock`, then `keep unlock`',
  });
}

function gone(): Error {
  return toError({
    code: 'locked',
    blame: 'caller',
    message: 'the daemon that held the vault is gone',
    hint: 'call again; whether this was done is in the audit log',
  });
}
