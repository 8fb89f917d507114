// Signs as often as it may, up to the number that is given, and says how often it did.

import { KeepAgentSession } from '../../dist/index.js';

const session = new KeepAgentSession();
const calls = Array.from({ length: Number(process.argv[2]) }, () => session.signEvent({ kind: 1, content: 'x' }));
const outcomes = await Promise.allSettled(calls);
console.log(outcomes.filter(({ status }) => status === 'fulfilled').length);
