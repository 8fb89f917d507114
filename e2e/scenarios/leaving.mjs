// needs: age
// Everything that is in a vault leaves it, and other programs read it: nsec, ncryptsec, mnemonics, backups.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HDKey } from '@scure/bip32';
import { mnemonicToSeedSync, validateMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { decode, nsecEncode } from 'nostr-tools/nip19';
import { privateKeyFromSeedWords } from 'nostr-tools/nip06';
import { decrypt } from 'nostr-tools/nip49';
import { getPublicKey, verifyEvent } from 'nostr-tools/pure';
import { Keep } from '../lib/keep.mjs';
import { start } from '../lib/processes.mjs';
import { essential, scenario, step } from '../lib/tap.mjs';

const PASSPHRASE = 'a passphrase of its own';

/** Runs a command on a terminal (that of util-linux's `script`) and says yes to its question; what was on the screen. */
async function onTerminal(keep, args) {
  const { command, env } = keep.command([]);
  const line = `exec ${command} ${args}`;
  const child = start('script', ['--quiet', '--return', '--flush', '--command', line, '/dev/null'], {
    cwd: keep.home,
    env: { ...env, TERM: 'xterm', NO_COLOR: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let screen = '';
  let answered = false;
  child.stdout.setEncoding('utf8').on('data', (text) => {
    screen += text;
    if (!answered && screen.includes('[y/N]')) {
      answered = true;
      setTimeout(() => child.stdin.write('y\r'), 100);
    }
  });
  const { code } = await child.ended;
  assert.equal(code, 0, screen);
  return screen;
}

async function output(program, ...args) {
  const child = start(program, args);
  let [text, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (more) => (text += more));
  child.stderr.setEncoding('utf8').on('data', (more) => (errors += more));
  const { code } = await child.ended;
  assert.equal(code, 0, errors);
  return text;
}

/** The Nostr key of BIP-85's application 128002, after BIP-85 itself. */
function bip85(words) {
  const node = HDKey.fromMasterSeed(mnemonicToSeedSync(words)).derive("m/83696968'/128002'/1'/1'");
  return createHmac('sha512', 'bip-entropy-from-k').update(node.privateKey).digest().subarray(0, 32);
}

await scenario([
  essential('a vault has keys of every kind, and a secret', async (s) => {
    s.keep = new Keep();
    await s.keep.done('init', '--kdf-memory-kib', '64', '--kdf-iterations', '1', '--kdf-lanes', '1');
    await s.keep.done('generate', '--name', 'main');
    await s.keep.done('generate', '--name', 'words', '--mnemonic');
    await s.keep.done('generate', '--name', 'six', '--mnemonic', '--path', 'nip06');
    const { keys } = await s.keep.json('list');
    s.pubkeys = Object.fromEntries(keys.map(({ name, pubkey }) => [name, pubkey]));
    assert.equal(keys.length, 3);
  }),

  step('an nsec, read from the terminal, is the key in nostr-tools', async (s) => {
    const screen = await onTerminal(s.keep, 'export --name main');
    const nsec = screen.match(/nsec1[a-z0-9]+/)[0];
    const { type, data } = decode(nsec);
    assert.equal(type, 'nsec');
    assert.equal(getPublicKey(data), s.pubkeys.main);
    s.nsec = nsec;
  }),

  step('an ncryptsec opens in nostr-tools', async (s) => {
    const file = join(s.keep.home, 'passphrase');
    writeFileSync(file, PASSPHRASE);
    const { ncryptsec } = await s.keep.json('export', '--name', 'main', '--ncryptsec', '--passphrase-file', file);
    const secret = decrypt(ncryptsec, PASSPHRASE);
    assert.equal(getPublicKey(secret), s.pubkeys.main);
    if (s.nsec) assert.equal(nsecEncode(secret), s.nsec);
  }),

  step('a mnemonic gives the same key by another BIP-39, BIP-32 and BIP-85', async (s) => {
    const words = (await onTerminal(s.keep, '--json export --name words --mnemonic')).match(/"mnemonic":\s*"([a-z ]+)"/)[1];
    assert.ok(validateMnemonic(words, wordlist));
    assert.equal(getPublicKey(bip85(words)), s.pubkeys.words);
  }),

  step('a mnemonic after NIP-06 gives the same key in nostr-tools', async (s) => {
    const words = (await onTerminal(s.keep, '--json export --name six --mnemonic')).match(/"mnemonic":\s*"([a-z ]+)"/)[1];
    assert.equal(getPublicKey(privateKeyFromSeedWords(words)), s.pubkeys.six);
  }),

  step('a stock age opens a backup, and every key in it is read', async (s) => {
    const identity = join(s.keep.home, 'identity');
    await output('age-keygen', '-o', identity);
    const recipient = (await output('age-keygen', '-y', identity)).trim();
    const backup = join(s.keep.home, 'all.age');
    await s.keep.done('backup', '--output', backup, '--recipient', recipient);
    const document = JSON.parse(await output('age', '-d', '-i', identity, backup));
    assert.equal(document.format, 'keep-backup');
    for (const { name, nsec } of document.keys) assert.equal(getPublicKey(decode(nsec).data), s.pubkeys[name]);
    const words = document.keys.find(({ name }) => name === 'words').mnemonic;
    assert.equal(getPublicKey(bip85(words)), s.pubkeys.words);
  }),

  step('a signed event leaves as every client reads it', async (s) => {
    const event = await s.keep.json('--key', 'main', 'sign-event', '--kind', '1', '--content', 'out');
    assert.ok(verifyEvent(event));
  }),
]);
