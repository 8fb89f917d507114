// An object in the shape of `window.nostr` (NIP-07), for libraries that sign with a browser extension.

import { invalidInput } from './errors.js';
import type { KeepAgentSession } from './session.js';
import type { EventTemplate, NostrEvent } from './views.js';

/** `window.nostr`, as far as a session goes: NIP-44, and not NIP-04. */
export interface Nip07 {
  getPublicKey(): Promise<string>;
  /** Signs. An author that is given must be the session's key. */
  signEvent(event: EventTemplate & { pubkey?: string; id?: string; sig?: string }): Promise<NostrEvent>;
  nip44: {
    encrypt(peer: string, plaintext: string): Promise<string>;
    decrypt(peer: string, ciphertext: string): Promise<string>;
  };
}

/** The session in the shape of `window.nostr`. */
export function createNip07(session: KeepAgentSession): Nip07 {
  let author: Promise<string> | undefined;
  const getPublicKey = () => {
    author ??= session.getPublicKey().then(({ pubkey }) => pubkey);
    // A failure is not remembered.
    author.catch(() => (author = undefined));
    return author;
  };
  return {
    getPublicKey,
    async signEvent(event) {
      // Whatever id and signature it has, it gets its own.
      const { pubkey, id: _id, sig: _sig, ...template } = event;
      if (pubkey !== undefined && pubkey !== (await getPublicKey())) {
        throw invalidInput("the event's author is not the key of this session");
      }
      return session.signEvent(template);
    },
    nip44: {
      encrypt: (peer, plaintext) => session.encrypt(peer, plaintext),
      decrypt: (peer, ciphertext) => session.decrypt(peer, ciphertext),
    },
  };
}
