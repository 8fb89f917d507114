// Puts the native part where the package loads it: what cargo builds, or the file that `KEEP_NATIVE` names.
// `KEEP_PROFILE=dev` builds it unoptimised.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function build() {
  const profile = process.env.KEEP_PROFILE ?? 'release';
  const built = spawnSync(
    process.env.CARGO ?? 'cargo',
    ['build', '--package', 'keep-agent-ts', '--lib', '--profile', profile, '--message-format', 'json-render-diagnostics'],
    { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 },
  );
  if (built.error) throw built.error;
  if (built.status !== 0) process.exit(built.status ?? 1);
  const library = built.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter((message) => message.reason === 'compiler-artifact' && message.target.name === 'keep_agent_node')
    .flatMap((message) => message.filenames)
    .find((file) => /\.(so|dylib|dll)$/.test(file));
  if (!library) throw new Error('cargo built no library');
  return library;
}

const library = process.env.KEEP_NATIVE ?? build();
// A process that has the old one loaded keeps it.
const place = join(root, 'dist', 'keep_agent.node');
mkdirSync(dirname(place), { recursive: true });
copyFileSync(library, `${place}.new`);
renameSync(`${place}.new`, place);
