// What the policy `social`, which a bunker URL carries unless said otherwise, allows; and that a headless bunker refuses the
// rest at once instead of letting the client hang.

import assert from 'node:assert/strict';
import { nip44 } from 'nostr-tools';
import { generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { answered, client, refused, signs, template } from '../lib/client.mjs';
import { Keep } from '../lib/keep.mjs';
import { startRelay } from '../lib/relay.mjs';
import { essential, scenario, step } from '../lib/tap.mjs';

const friend = generateSecretKey();
const friendKey = getPublicKey(friend);

await scenario([
  essential('a client is connected to a headless bunker', async (s) => {
    s.relay = await startRelay();
    s.keep = new Keep();
    await s.keep.done('init');
    await s.keep.done('generate', '--name', 'main');
    const { bunker_url, pubkey } = await s.keep.serve('--relay', s.relay);
    s.identity = pubkey;
    s.signer = await client(bunker_url);
    await answered(s.signer.connect());
    assert.equal(await answered(s.signer.getPublicKey()), pubkey);
  }, { limit: 60_000 }),

  step('notes, reposts, reactions, comments, zap requests and articles are signed', async (s) => {
    for (const kind of [1, 6, 7, 16, 1111, 9734, 30023]) await signs(s.signer, s.identity, template(kind));
  }),

  step('encryption is allowed', async (s) => {
    const sealed = await answered(s.signer.nip44Encrypt(friendKey, 'for you'));
    assert.equal(nip44.decrypt(sealed, nip44.getConversationKey(friend, s.identity)), 'for you');
  }),

  step('what needs a person is refused at once: profile, contacts, relay list', async (s) => {
    for (const kind of [0, 3, 10002]) await refused(s.signer.signEvent(template(kind)));
  }),

  step('decryption needs a person, too', async (s) => {
    const sealed = nip44.encrypt('for keep', nip44.getConversationKey(friend, s.identity));
    await refused(s.signer.nip44Decrypt(friendKey, sealed));
  }),

  step('what no rule names is refused: deletions, bunker traffic, HTTP authentication', async (s) => {
    for (const kind of [5, 24133, 27235]) await refused(s.signer.signEvent(template(kind)));
  }),

  step('authentication is signed for a relay in use and for no other', async (s) => {
    const challenge = ['challenge', 'a-challenge'];
    await signs(s.signer, s.identity, template(22242, '', [['relay', s.relay], challenge]));
    await refused(s.signer.signEvent(template(22242, '', [['relay', 'wss://relay.example.com'], challenge])));
  }),

  step('after refusals the client is served as before', async (s) => {
    await signs(s.signer, s.identity, template(1, 'still connected'));
  }),
]);
