// Tools for the Vercel AI SDK (`ai`).

import { jsonSchema, tool } from 'ai';
import type { Tool } from 'ai';

import type { KeepAgentSession } from './session.js';
import { keepTools } from './tools.js';

/** Every tool by its name, for `generateText({ tools })` and agents. */
export function createKeepTools(session: KeepAgentSession): Record<string, Tool<Record<string, unknown>, object>> {
  return Object.fromEntries(
    keepTools.map(({ name, description, inputSchema, run }) => [
      name,
      tool({
        description,
        inputSchema: jsonSchema<Record<string, unknown>>(inputSchema),
        execute: (given) => run(session, given),
      }),
    ]),
  );
}
