// The contract for ordinary users: root of a user namespace with or without subordinate ids, and nobody but themselves.
// The program that keeps it runs as such a user; what it cannot keep is here and in docs/isolation.md.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { somebody } from '../support/as-user.ts';
import { processesWith } from '../support/processes.ts';
import { run } from '../support/program.ts';
import { withFuse } from '../support/with-fuse.ts';

const contract = fileURLToPath(new URL('../support/snapshot-contract.js', import.meta.url));

/** File capabilities are not for those to give who are root of nothing. */
const capabilities = [
  'collect changes of mode, owner, time and attributes alone',
  'keep capabilities, setuid bits and old times of what is below',
];

for (const [who, where, driver, exceptions] of [
  ['subordinate ids', 'namespace', 'overlay', []],
  ['subordinate ids', 'namespace', 'fuse-overlayfs', []],
  ['subordinate ids', 'namespace', 'copy', []],
  ['single id', 'namespace', 'overlay', []],
  ['single id', 'namespace', 'fuse-overlayfs', []],
  ['single id', 'namespace', 'copy', []],
  ['no namespaces', 'user', 'copy', capabilities],
] as const) {
  test(`a user with ${who}: snapshots by ${driver} keep the contract`, async () => {
    using user = somebody(who);
    using _ = { [Symbol.dispose]: () => rmSync(user.home, { recursive: true, force: true }) };
    const place = join(user.home, 'fuse');
    mkdirSync(place);
    const argv = user.wrap([process.execPath, contract, where, driver, ...exceptions]);
    const { status, stdout, stderr } = await run(driver === 'fuse-overlayfs' ? withFuse(place, argv) : argv, {
      // Of this run of tests the other one is to know nothing.
      env: { TMPDIR: user.home, NODE_TEST_CONTEXT: undefined },
    });
    assert.equal(status, 0, stdout + stderr);
    const count = (what: string) => Number(new RegExp(`^\\S+ ${what} (\\d+)$`, 'm').exec(stdout)?.[1]);
    assert.deepEqual(['fail', 'skipped', 'cancelled', 'todo'].map(count), [0, 0, 0, 0], stdout);
    assert.ok(count('pass') > 10, stdout);
    assert.deepEqual(readdirSync(user.home), ['fuse']);
    assert.deepEqual(processesWith(user.home), []);
  });
}
