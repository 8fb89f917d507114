// NDK as an application uses it on Node.

import { WebSocket } from 'ws';
import { within } from './tap.mjs';

// Node 20 has no WebSocket of its own, and NDK takes what is there when it is loaded.
globalThis.WebSocket = WebSocket;
const NDK = await import('@nostr-dev-kit/ndk');

export const { NDKEvent, NDKNip46Signer, NDKUser } = NDK;

/** NDK connected to this relay alone. */
export async function ndk(relay) {
  const made = new NDK.default({ explicitRelayUrls: [relay], enableOutboxModel: false });
  await within(10_000, made.connect(5_000));
  return made;
}
