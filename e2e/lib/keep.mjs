// `keep`, as somebody runs it from a script: a vault of its own, the passphrase in the environment.

import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { directory, kill, start } from './processes.mjs';

export class Keep {
  /** A `keep` whose vault does not exist yet. */
  constructor() {
    this.home = directory();
    this.serving = null;
  }

  /** Runs a command; answers with what it printed and its exit code. */
  async run(...args) {
    const child = this.#start(args);
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
    const { code, signal, error } = await child.ended;
    if (error) throw error;
    return { ...output, code, signal };
  }

  /** Runs a command that must succeed. */
  async done(...args) {
    const result = await this.run(...args);
    if (result.code !== 0) {
      throw new Error(`keep ${args.join(' ')}: exit code ${result.code ?? result.signal}\n${result.stderr}`);
    }
    return result;
  }

  /** The JSON value that a command prints. */
  async json(...args) {
    return JSON.parse((await this.done('--json', ...args)).stdout);
  }

  /** Starts the bunker; answers with its first line, which comes when it accepts requests. */
  async serve(...args) {
    const child = this.#start(['--json', 'serve', '--headless', ...args]);
    this.serving = child;
    let talk = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (talk = (talk + text).slice(-4000)));
    const lines = createInterface({ input: child.stdout });
    const first = new Promise((resolve) => lines.once('line', resolve));
    const ended = child.ended.then(({ code, signal, error }) => {
      throw new Error(`keep serve ended (${error?.message ?? code ?? signal}) before its first line\n${talk}`);
    });
    ended.catch(() => {});
    return JSON.parse(await Promise.race([first, ended]));
  }

  /** Ends the bunker with a signal and waits until it is gone. */
  async end(signal) {
    kill(this.serving.pid, signal);
    return this.serving.ended;
  }

  /** How a command is run, for whoever starts it. */
  command(args) {
    const { PATH, TERM, TMPDIR, LANG } = process.env;
    const env = { PATH, TERM, TMPDIR, LANG, HOME: this.home, KEEP_PASSWORD: 'correct horse battery staple' };
    env.KEEP_HOME = join(this.home, 'vault');
    env.XDG_RUNTIME_DIR = join(this.home, 'run');
    mkdirSync(env.XDG_RUNTIME_DIR, { recursive: true, mode: 0o700 });
    for (const name of Object.keys(env)) if (env[name] === undefined) delete env[name];
    return { command: process.env.KEEP_BIN, args, env };
  }

  #start(args) {
    const { command, env } = this.command(args);
    return start(command, args, { cwd: this.home, env });
  }
}
