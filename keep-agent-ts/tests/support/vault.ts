// A vault with a key, and the daemon that holds it: made for a test file, removed after it.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll } from 'vitest';

const cheap = ['--kdf-memory-kib', '64', '--kdf-iterations', '1', '--kdf-lanes', '1'];

export class Vault {
  readonly root = mkdtempSync(join(tmpdir(), 'keep-ts-'));
  readonly keep = process.env['KEEP_BIN'] ?? 'keep';
  private readonly serving: ChildProcess[] = [];

  /** Makes it, and lets the environment of this process point to it. */
  static create(): Vault {
    const vault = new Vault();
    const { root } = vault;
    mkdirSync(join(root, 'run'), { mode: 0o700 });
    Object.assign(process.env, {
      HOME: root,
      KEEP_BIN: vault.keep,
      KEEP_HOME: join(root, 'vault'),
      KEEP_PASSWORD: 'correct horse battery staple',
      KEEP_ALLOW_WEAK_KDF: '1',
      XDG_RUNTIME_DIR: join(root, 'run'),
      XDG_STATE_HOME: join(root, 'state'),
    });
    delete process.env['KEEP_SESSION'];
    vault.run('init', ...cheap);
    vault.run('generate', '--name', 'main');
    afterAll(() => vault.remove());
    return vault;
  }

  /** The JSON that a command prints, which must succeed. */
  run(...args: string[]): any {
    const ran = spawnSync(this.keep, ['--json', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    if (ran.error) throw ran.error;
    if (ran.status !== 0) throw new Error(`keep ${args.join(' ')}: ${ran.status} ${ran.stderr}`);
    return ran.stdout.trim() === '' ? null : JSON.parse(ran.stdout);
  }

  /** As `run`, without holding up this process. */
  async later(...args: string[]): Promise<any> {
    const child = spawn(this.keep, ['--json', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    for await (const text of child.stdout.setEncoding('utf8')) said += text;
    return JSON.parse(said);
  }

  /** Makes a session; its token. */
  session(name: string, ...flags: string[]): string {
    const made = this.run('agent', 'create', '--name', name, ...flags);
    return readFileSync(made.token_file, 'utf8').trim();
  }

  /** Starts a command that goes on, until it has printed its `bunker://` URL and relays. */
  async serve(...args: string[]): Promise<{ bunker_url: string; relays: string[] }> {
    const child = spawn(this.keep, ['--json', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    // Not in a hook of its own: whoever calls this in one would have none, and the process would stay.
    this.serving.push(child);
    for await (const line of createInterface({ input: child.stdout })) {
      const said = JSON.parse(line);
      if (said.bunker_url !== undefined) {
        child.stdout.resume();
        return said;
      }
    }
    throw new Error(`keep ${args.join(' ')} ended: ${child.exitCode}`);
  }

  /** Ends the process that holds the vault, if there is one, as a crash would. */
  kill(): void {
    const { pid } = this.run('status');
    if (pid !== null) process.kill(pid, 'SIGKILL');
    while (this.run('status').unlocked);
  }

  remove(): void {
    this.serving.forEach((child) => child.kill('SIGKILL'));
    spawnSync(this.keep, ['lock'], { stdio: 'ignore' });
    // A daemon that was told to end still writes for a moment, also where everything was removed already.
    for (let attempt = 0; ; attempt += 1) {
      try {
        return rmSync(this.root, { recursive: true, force: true });
      } catch (error) {
        if (attempt === 50) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      }
    }
  }
}

/** The failure of a promise that must fail. */
export async function failure(promise: Promise<unknown>): Promise<any> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (reason: unknown) => ({ reason }),
  );
  if ('value' in outcome) throw new Error(`it was done: ${JSON.stringify(outcome.value)}`);
  return outcome.reason;
}

/** The code of the failure of a promise that must fail. */
export async function code(promise: Promise<unknown>): Promise<string> {
  return (await failure(promise)).code;
}
