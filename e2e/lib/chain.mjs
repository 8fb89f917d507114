// A Bitcoin node with a chain of its own (regtest), and its RPC.

import { join } from 'node:path';
import { directory, freePort, listening, start } from './processes.mjs';
import { sleep } from './tap.mjs';

export class Node {
  /** Starts a node; `signer` is the command of an external signer, `env` its environment. */
  static async start({ signer, env } = {}) {
    const node = new Node();
    node.home = directory();
    node.port = await freePort();
    const args = [
      `-datadir=${node.home}`, '-regtest', '-server', '-listen=0', '-listenonion=0', '-natpmp=0', '-dnsseed=0',
      '-fixedseeds=0', '-fallbackfee=0.0001', '-txindex=1', `-rpcport=${node.port}`, '-rpcbind=127.0.0.1',
      '-rpcallowip=127.0.0.1', '-rpcuser=keep', '-rpcpassword=keep', '-printtoconsole=0',
    ];
    if (signer) args.push(`-signer=${signer}`);
    const { PATH, TMPDIR } = process.env;
    node.child = start(process.env.BITCOIND_BIN, args, { cwd: node.home, env: { PATH, HOME: node.home, ...(TMPDIR && { TMPDIR }), ...env } });
    let said = '';
    node.child.stderr.on('data', (text) => (said = (said + text).slice(-2000)));
    await listening(node.port, node.child).catch((error) => {
      throw new Error(`bitcoind: ${error.message}\n${said}`);
    });
    for (;;) {
      try {
        await node.rpc('getblockchaininfo');
        return node;
      } catch (error) {
        if (!/-28/.test(error.message)) throw error;
        await sleep(100);
      }
    }
  }

  /** Calls a method of the node; with `wallet`, of one of its wallets. */
  async call(wallet, method, params) {
    const path = wallet === null ? '/' : `/wallet/${wallet}`;
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from('keep:keep').toString('base64')}` },
      body: JSON.stringify({ jsonrpc: '1.0', id: 1, method, params }),
    });
    const { result, error } = await answer.json();
    if (error) throw new Error(`${method}: ${error.code} ${error.message}`);
    return result;
  }

  rpc(method, ...params) {
    return this.call(null, method, params);
  }

  wallet(name) {
    return (method, ...params) => this.call(name, method, params);
  }

  /** Where the log is. */
  log() {
    return join(this.home, 'regtest', 'debug.log');
  }
}
