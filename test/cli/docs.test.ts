// docs/cli.md is written from the definitions of the commands.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

test('docs/cli.md says what the commands say (node scripts/cli-docs.js writes it)', async () => {
  const { status, stderr } = await run([process.execPath, join(repoRoot, 'scripts/cli-docs.js'), '--check']);
  assert.equal(status, 0, stderr);
});

test('every flag in docs/cli.md is explained', () => {
  const text = readFileSync(join(repoRoot, 'docs/cli.md'), 'utf8');
  assert.deepEqual(text.match(/^\| `-[^|]*` \|\s*\|$/gm), null);
  assert.match(text, /^### slipway image ls$/m);
});
