// A bot that signs a note for each line that it reads, as long as it may, and prints the events.
//
//     keep agent create --name bot --scope nostr --kinds 1 --rate 30/h --for 24h
//     npm run example -- FILE-WITH-THE-TOKEN

import { createInterface } from 'node:readline';

import { KeepAgentSession, PolicyError } from 'keep-agent';

const session = new KeepAgentSession(undefined, process.argv[2] === undefined ? {} : { sessionFile: process.argv[2] });

const { name, requestsRemaining } = await session.getSessionInfo();
const { npub } = await session.getPublicKey();
console.error(`${name} signs for ${npub}; ${requestsRemaining ?? 'any number of'} requests remain`);

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify(await session.signEvent({ kind: 1, content: line, tags: [['t', 'bot']] })));
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    // The owner's limits, not a mistake: a bot waits, or stops.
    console.error(`${error.message}: ${error.hint}`);
    break;
  }
}
await session.close();
