// A scenario is a list of steps that share a state. Every step has a name and a time limit, and is reported in the
// Test Anything Protocol. After a step that the others stand on has failed, the rest counts as failed, too.

const LIMIT_MS = 20_000;

/** One step; `work` gets the shared state. */
export function step(name, work, { limit = LIMIT_MS, essential = false } = {}) {
  return { name, work, limit, essential };
}

/** A step without which no later one makes sense. */
export const essential = (name, work, options = {}) => step(name, work, { ...options, essential: true });

/** Runs the steps and ends the process. */
export async function scenario(steps) {
  process.on('unhandledRejection', (reason) => comment(`unhandled: ${describe(reason)}`));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(1));
  console.log(`TAP version 13\n1..${steps.length}`);
  const state = {};
  let failed = 0;
  let broken = null;
  for (const [index, { name, work, limit, essential }] of steps.entries()) {
    const label = `${index + 1} - ${name}`;
    if (broken !== null) {
      failed += 1;
      console.log(`not ok ${label} # not reached: "${broken}" failed`);
      continue;
    }
    try {
      await within(limit, work(state));
      console.log(`ok ${label}`);
    } catch (reason) {
      failed += 1;
      console.log(`not ok ${label}`);
      comment(describe(reason));
      if (essential) broken = name;
    }
  }
  process.exit(failed === 0 ? 0 : 1);
}

/** Lines for people; the reader of the protocol ignores them. */
export function comment(text) {
  for (const line of String(text).split('\n')) console.log(`# ${line}`);
}

/** The promise's value, or an error when it takes longer than `limit` milliseconds. */
export function within(limit, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limit} ms`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function describe(reason) {
  return reason instanceof Error ? (reason.stack ?? reason.message) : JSON.stringify(reason);
}
