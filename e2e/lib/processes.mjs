// Programs that a scenario starts. Each is the leader of a process group, and no group outlives the scenario.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from './tap.mjs';

const groups = new Set();
const directories = [];

process.on('exit', () => {
  for (const id of groups) kill(id, 'SIGKILL');
  for (const directory of directories) remove(directory);
});

/** Removes a directory, in which what was killed a moment ago may still write. */
function remove(directory) {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    try {
      return rmSync(directory, { recursive: true, force: true });
    } catch {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
}

/** Starts a program without input. Ends with the scenario at the latest. */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options });
  child.ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('close', (code, signal) => resolve({ code, signal, error: null }));
  });
  if (child.pid !== undefined) {
    groups.add(child.pid);
    child.ended.then(() => {
      // What the program itself started and left behind goes with it.
      kill(child.pid, 'SIGKILL');
      groups.delete(child.pid);
    });
  }
  return child;
}

/** Sends a signal to a program and everything that it started. */
export function kill(id, signal) {
  try {
    process.kill(-id, signal);
  } catch {
    // It has ended already.
  }
}

/** A directory that is removed at the end. */
export function directory() {
  const path = mkdtempSync(join(tmpdir(), 'keep-e2e-'));
  directories.push(path);
  return path;
}

/** A loopback port that nobody listens on. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until somebody listens on a loopback port, as long as `child` runs. */
export async function listening(port, child) {
  while (child.exitCode === null && child.signalCode === null) {
    const open = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('close', () => socket.destroy());
      socket.unref();
      setTimeout(() => socket.end(), 50).unref();
    });
    if (open) return;
    await sleep(100);
  }
  throw new Error('it ended before it listened');
}
