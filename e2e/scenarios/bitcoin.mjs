// needs: bitcoind
// A real chain: a node pays to addresses that `keep` printed, proposes what spends them, and mines what `keep` signed. Then
// the node itself uses `keep` as its external signer.

import assert from 'node:assert/strict';
import { writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Node } from '../lib/chain.mjs';
import { Keep } from '../lib/keep.mjs';
import { essential, scenario, sleep, step } from '../lib/tap.mjs';

// Each step runs many commands and mines blocks.
const PATIENT = { limit: 180_000 };
const chain = ['--network', 'regtest'];
const BURN = 'bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6';

/** Keep's keys: one bare, one from a mnemonic. */
const KEYS = ['main', 'words'];

/** Pays `sats` away from the watching wallet of a key: the node proposes, `keep` signs. */
async function proposal(s, key, sats, options = {}) {
  const watch = s.node.wallet(`watch-${key}`);
  const change = (await s.keep.json('bitcoin', 'address', '--key', key, '--change', ...chain)).addresses[0].address;
  const outputs = [{ [BURN]: sats / 1e8 }];
  const made = await watch('walletcreatefundedpsbt', [], outputs, 0, { changeAddress: change, fee_rate: 5, ...options });
  const file = join(s.keep.home, `${key}-${sats}.psbt`);
  writeFileSync(file, made.psbt);
  return { file, psbt: made.psbt, change };
}

await scenario([
  essential('a node has a chain, and a vault two keys', async (s) => {
    s.keep = new Keep();
    // Cheap to unlock: the node calls `keep` often.
    await s.keep.done('init', '--kdf-memory-kib', '64', '--kdf-iterations', '1', '--kdf-lanes', '1');
    await s.keep.done('generate', '--name', 'main');
    await s.keep.done('generate', '--name', 'words', '--mnemonic');
    // The node has no passphrase: what it asks, it asks the unlocked daemon.
    const { command, env: { KEEP_PASSWORD: _, ...env } } = s.keep.command([]);
    s.node = await Node.start({ signer: `${command} hwi`, env });
    await s.node.rpc('createwallet', 'miner');
    s.miner = s.node.wallet('miner');
    s.mine = async (blocks = 1) => s.node.rpc('generatetoaddress', blocks, await s.miner('getnewaddress'));
    // A wallet sets a lock time of up to 100 blocks back, and this node refuses that of block 21, which an overlay uses.
    await s.mine(201);
  }, PATIENT),

  essential('the node derives the same addresses from the descriptor', async (s) => {
    for (const key of KEYS) {
      const view = await s.keep.json('bitcoin', 'descriptor', '--key', key, ...chain);
      for (const [descriptor, flags] of [[view.receive, []], [view.change, ['--change']]]) {
        const own = await s.keep.json('bitcoin', 'address', '--key', key, ...flags, '--index', '0', '--count', '25', ...chain);
        const theirs = await s.node.rpc('deriveaddresses', descriptor, [0, 24]);
        assert.deepEqual(own.addresses.map(({ address }) => address), theirs);
      }
      await s.node.rpc('createwallet', `watch-${key}`, true, true);
      const imports = [[view.receive, false], [view.change, true]].map(([desc, internal]) => (
        { desc, internal, range: [0, 50], timestamp: 'now' }
      ));
      const done = await s.node.wallet(`watch-${key}`)('importdescriptors', imports);
      assert.ok(done.every(({ success }) => success), JSON.stringify(done));
    }
  }, PATIENT),

  essential('coins arrive at printed addresses: receive, change, index > 0', async (s) => {
    for (const key of KEYS) {
      const first = await s.keep.json('bitcoin', 'address', '--key', key, ...chain);
      const second = await s.keep.json('bitcoin', 'address', '--key', key, ...chain);
      assert.equal(first.addresses[0].index, 0);
      assert.equal(second.addresses[0].index, 1);
      const seventh = await s.keep.json('bitcoin', 'address', '--key', key, '--index', '7', ...chain);
      const change = await s.keep.json('bitcoin', 'address', '--key', key, '--change', ...chain);
      for (const { addresses: [{ address }] } of [first, second, seventh, change]) {
        await s.miner('sendtoaddress', address, 0.25);
      }
    }
    for (const key of KEYS) {
      const balances = () => s.node.wallet(`watch-${key}`)('getbalances');
      for (let blocks = 0; blocks < 10 && (await balances()).mine.trusted < 1; blocks += 1) await s.mine();
      const waiting = await s.node.rpc('getrawmempool', true);
      const { mine } = await balances();
      assert.equal(mine.trusted, 1, `${JSON.stringify(mine)} while ${JSON.stringify(waiting)} wait`);
    }
  }, PATIENT),

  step('what the node proposes is shown, signed and mined', async (s) => {
    for (const key of KEYS) {
      // More than three coins are worth: every address has to sign.
      const { file, change } = await proposal(s, key, 90_000_000);
      const seen = await s.keep.json('bitcoin', 'analyze', '--key', key, '--psbt', file, ...chain);
      assert.deepEqual(seen.refusals, []);
      assert.equal(seen.inputs.length, 4);
      assert.ok(seen.inputs.every(({ ownership }) => ownership.kind === 'signable'));
      const ours = seen.outputs.find(({ address }) => address === change);
      assert.equal(ours.role.kind, 'ours');
      assert.equal(ours.role.branch, 'change');
      assert.equal(seen.facts.leaving_sats, 90_000_000 + seen.facts.fee_sats);
      const { stdout } = await s.keep.done('bitcoin', 'sign', '--key', key, '--psbt', file, '--finalize', ...chain);
      const [accepted] = await s.node.rpc('testmempoolaccept', [stdout.trim()]);
      assert.ok(accepted.allowed, JSON.stringify(accepted));
      const txid = await s.node.rpc('sendrawtransaction', stdout.trim());
      await s.mine();
      const mined = await s.node.rpc('getrawtransaction', txid, true);
      assert.equal(mined.confirmations, 1);
      assert.equal(txid, seen.txid);
    }
  }, PATIENT),

  step('a signed PSBT that the node finalises is the same payment', async (s) => {
    const { file } = await proposal(s, 'main', 1_000_000);
    const out = join(s.keep.home, 'signed.psbt');
    await s.keep.done('bitcoin', 'sign', '--key', 'main', '--psbt', file, '-o', out, ...chain);
    const { hex, complete } = await s.node.rpc('finalizepsbt', readFileSync(out, 'utf8').trim());
    assert.ok(complete);
    await s.node.rpc('sendrawtransaction', hex);
    await s.mine();
    // Nothing is overwritten.
    const again = await s.keep.run('bitcoin', 'sign', '--key', 'main', '--psbt', file, '-o', out, ...chain);
    assert.equal(again.code, 5);
  }, PATIENT),

  step('a transaction that was changed after signing is rejected', async (s) => {
    const { file } = await proposal(s, 'words', 1_000_000);
    const { stdout } = await s.keep.done('bitcoin', 'sign', '--key', 'words', '--psbt', file, '--finalize', ...chain);
    const hex = stdout.trim();
    const amount = Buffer.alloc(8);
    amount.writeBigUInt64LE(1_000_000n);
    const place = hex.indexOf(amount.toString('hex'));
    assert.ok(place > 0);
    amount.writeBigUInt64LE(1_000_001n);
    const changed = hex.slice(0, place) + amount.toString('hex') + hex.slice(place + 16);
    const [verdict] = await s.node.rpc('testmempoolaccept', [changed]);
    assert.equal(verdict.allowed, false);
    assert.match(verdict['reject-reason'], /Schnorr|script-verify/);
    const [untouched] = await s.node.rpc('testmempoolaccept', [hex]);
    assert.ok(untouched.allowed, JSON.stringify(untouched));
  }, PATIENT),

  step('another key signs nothing, and says why for each input', async (s) => {
    const { file } = await proposal(s, 'words', 2_000_000);
    const refused = await s.keep.run('--json', 'bitcoin', 'sign', '--key', 'main', '--psbt', file, ...chain);
    assert.equal(refused.code, 5);
    assert.match(JSON.parse(refused.stderr).error.message, /input 0: no key of ours/);
  }, PATIENT),

  step('the owner\'s limits hold, and are in the log', async (s) => {
    await s.keep.done('bitcoin', 'limits', '--key', 'words', '--per-transaction', '1000000', '--budget', '1500000/24h');
    const { file } = await proposal(s, 'words', 2_000_000);
    const refused = await s.keep.run('--json', 'bitcoin', 'sign', '--key', 'words', '--psbt', file, ...chain);
    assert.equal(refused.code, 1);
    assert.equal(JSON.parse(refused.stderr).error.code, 'refused_by_policy');
    const small = await proposal(s, 'words', 900_000);
    await s.keep.done('bitcoin', 'sign', '--key', 'words', '--psbt', small.file, ...chain);
    const over = await s.keep.run('bitcoin', 'sign', '--key', 'words', '--psbt', small.file, ...chain);
    assert.equal(over.code, 1);
    assert.match(over.stderr, /budget is 1500000 in 1d/);
    const { entries } = await s.keep.json('audit', 'list');
    assert.ok(entries.some(({ action, outcome }) => action === 'sign_psbt' && outcome === 'refused'));
    await s.keep.done('bitcoin', 'limits', '--key', 'words', '--clear');
  }, PATIENT),

  step('the node knows a message that an address signed', async (s) => {
    const { addresses: [{ address }] } = await s.keep.json('bitcoin', 'address', '--key', 'main', '--index', '0', ...chain);
    const signed = await s.keep.json('bitcoin', 'sign-message', '--key', 'main', '--message', 'hello', ...chain);
    assert.equal(signed.address, address);
    assert.match(signed.signature, /^smp/);
    const check = ['bitcoin', 'verify-message', '--address', address, '--signature', signed.signature, ...chain];
    await s.keep.done(...check, '--message', 'hello');
    assert.equal((await s.keep.run(...check, '--message', 'Hello')).code, 5);
  }, PATIENT),

  step('the node drives keep as its external signer, and a person approves', async (s) => {
    await s.keep.done('unlock');
    const { signers } = await s.node.rpc('enumeratesigners');
    assert.equal(signers.length, 2, JSON.stringify(signers));
    // A wallet has one signer. The other key leaves.
    await s.keep.done('delete', '--name', 'words', '--yes');
    await s.node.rpc('createwallet', 'hardware', true, true, '', false, true, true, true);
    const hardware = s.node.wallet('hardware');
    const address = await hardware('getnewaddress', '', 'bech32m');
    const shown = await hardware('walletdisplayaddress', address);
    assert.equal(shown.address, address);
    await s.miner('sendtoaddress', address, 0.5);
    await s.mine();
    // Nodes differ in how they say that the signer did not sign.
    const pay = (btc) => hardware('send', [{ [BURN]: btc }], null, 'unset', 5).catch(() => ({ complete: false }));
    await s.keep.done('lock');
    assert.equal((await pay(0.3)).complete, false);
    await s.keep.done('unlock', '--confirm');
    const decide = async (verb) => {
      for (;;) {
        const pending = await s.keep.json('pending');
        const [waiting] = Array.isArray(pending) ? pending : pending.pending;
        if (waiting) return s.keep.done(verb, waiting.id).then(() => waiting);
        await sleep(50);
      }
    };
    const [refused, seen] = await Promise.all([pay(0.2), decide('deny')]);
    assert.equal(refused.complete, false);
    assert.match(JSON.stringify(seen), /20000000/);
    const [sent] = await Promise.all([pay(0.1), decide('approve')]);
    assert.ok(sent.complete, JSON.stringify(sent));
    await s.keep.done('lock');
    await s.mine();
    assert.equal((await s.node.rpc('getrawtransaction', sent.txid, true)).confirmations, 1);
    const { entries } = await s.keep.json('audit', 'list');
    const signing = entries.filter(({ action, reason }) => action === 'sign_psbt' && /[123]0000000 to/.test(reason));
    const outcomes = signing.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'allowed');
    assert.deepEqual(outcomes.sort(), ['approved', 'declined'], JSON.stringify(signing));
  }, PATIENT),
]);
