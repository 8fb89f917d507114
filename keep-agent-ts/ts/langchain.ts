// Tools for LangChain.js and LangGraph.js (`@langchain/core`).

import { tool } from '@langchain/core/tools';
import type { DynamicStructuredTool } from '@langchain/core/tools';

import type { KeepAgentSession } from './session.js';
import { keepTools } from './tools.js';
import type { KeepTool } from './tools.js';

function adapted({ name, description, inputSchema, run }: KeepTool, session: KeepAgentSession): DynamicStructuredTool {
  // A model reads text: the answer is JSON.
  const answer = async (given: unknown) => JSON.stringify(await run(session, given));
  return tool(answer, { name, description, schema: inputSchema }) as DynamicStructuredTool;
}

/** Every tool. */
export function createKeepTools(session: KeepAgentSession): DynamicStructuredTool[] {
  return keepTools.map((each) => adapted(each, session));
}

/** The tool that signs events, alone. */
export function createKeepSignerTool(session: KeepAgentSession): DynamicStructuredTool {
  const signer = createKeepTools(session).find(({ name }) => name === 'keep_sign_event');
  if (signer === undefined) throw new Error('the tool is missing');
  return signer;
}
