// An independent relay: PyPI's nostr-relay, on loopback, with a database that nobody keeps.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { directory, freePort, kill, listening, start } from './processes.mjs';

/** Starts a relay; answers with its URL when it listens. */
export async function startRelay() {
  return (await Relay.start()).url;
}

/** A relay that can go away and come back at the same address. */
export class Relay {
  static async start() {
    const relay = new Relay();
    relay.home = directory();
    relay.port = await freePort();
    relay.url = `ws://127.0.0.1:${relay.port}`;
    await relay.comeBack();
    return relay;
  }

  async goAway() {
    kill(this.child.pid, 'SIGKILL');
    await this.child.ended;
  }

  async comeBack() {
    const config = join(this.home, 'relay.yaml');
    writeFileSync(config, configuration(this.port, join(this.home, 'relay.sqlite3')));
    this.child = start(process.env.NOSTR_RELAY_BIN, ['-c', config, 'serve'], { cwd: this.home });
    let talk = '';
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (data) => (talk += data));
    await listening(this.port, this.child).catch((error) => {
      throw new Error(`nostr-relay: ${error.message}\n${talk}`);
    });
  }
}

function configuration(port, database) {
  return `DEBUG: false
relay_name: test
storage:
  sqlalchemy.url: sqlite+aiosqlite:///${database}
  num_concurrent_reqs: 10
  num_concurrent_adds: 2
  validators:
    - nostr_relay.validators.is_not_too_large
    - nostr_relay.validators.is_signed
    - nostr_relay.validators.is_recent
    - nostr_relay.validators.is_not_hellthread
verification:
  nip05_verification: disabled
gunicorn:
  bind: 127.0.0.1:${port}
  workers: 1
  loglevel: warning
  reload: false
authentication:
  enabled: false
message_timeout: 1800
subscription_limit: 32
max_limit: 6000
hellthread_limit: 100
`;
}
