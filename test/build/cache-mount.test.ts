// Directories that outlive a build: what they begin with, who may use them at once.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openCacheMount } from '../../src/build/steps/cache-mount.ts';
import type { MountSpec } from '../../src/plan/steps.ts';
import type { Store } from '../../src/store/store.ts';
import { withTempDir } from '../support/temp-dir.ts';

type CacheSpec = Extract<MountSpec, { type: 'cache' }>;

const never = new AbortController().signal;
const spec = (more: Partial<CacheSpec> = {}): CacheSpec => ({
  type: 'cache',
  id: 'some/../id',
  target: '/c',
  sharing: 'shared',
  from: { kind: 'scratch' },
  source: '/',
  mode: 0o750,
  uid: 0,
  gid: 0,
  readonly: false,
  ...more,
});
const storeIn = (root: string) => ({ root }) as unknown as Store;

describe('a cache mount', () => {
  it('begins empty, with the mode asked for, below a name that its id cannot choose', () =>
    withTempDir(async root => {
      const mount = await openCacheMount(storeIn(root), spec(), never);
      assert.equal(statSync(mount.path).mode & 0o777, 0o750);
      assert.match(mount.path.slice(root.length), /^\/mounts\/[0-9a-f]{64}\/0\/fs$/);
      mount.close();
    }));

  it('is filled once when several come at the same time', () =>
    withTempDir(async root => {
      const source = join(root, 'seed');
      mkdirSync(source);
      writeFileSync(join(source, 'f'), 'seeded');
      let seeded = 0;
      const seed = async () => {
        seeded++;
        return { source };
      };
      const mounts = await Promise.all(
        [1, 2, 3].map(() => openCacheMount(storeIn(root), spec(), never, { seed })),
      );
      assert.equal(new Set(mounts.map(mount => mount.path)).size, 1);
      assert.equal(readFileSync(join(mounts[0]?.path ?? '', 'f'), 'utf8'), 'seeded');
      assert.equal(seeded, 1);
      for (const mount of mounts) mount.close();
    }));

  it('is not there at all when filling it failed, and is filled by the next one', () =>
    withTempDir(async root => {
      const seed = (name: string) => async () => ({ source: join(root, name) });
      await assert.rejects(openCacheMount(storeIn(root), spec(), never, { seed: seed('missing') }), {
        code: 'store',
      });
      const home = join(root, 'mounts', readdirSync(join(root, 'mounts'))[0] ?? '', '0');
      assert.deepEqual(readdirSync(home), []);
      mkdirSync(join(root, 'there'));
      const mount = await openCacheMount(storeIn(root), spec(), never, { seed: seed('there') });
      assert.ok(existsSync(mount.path));
      mount.close();
    }));

  it('that is private is another one while it is busy, and the first again afterwards', () =>
    withTempDir(async root => {
      const open = () => openCacheMount(storeIn(root), spec({ sharing: 'private' }), never);
      const [one, two] = [await open(), await open()];
      assert.notEqual(one.path, two.path);
      one.close();
      const again = await open();
      assert.equal(again.path, one.path);
      again.close();
      two.close();
    }));

  it('that is locked can be waited for, and the waiting be ended', () =>
    withTempDir(async root => {
      const open = (signal: AbortSignal) =>
        openCacheMount(storeIn(root), spec({ sharing: 'locked' }), signal);
      const first = await open(never);
      const given = new AbortController();
      const waiting = open(given.signal);
      given.abort();
      await assert.rejects(waiting, { code: 'interrupted' });
      const next = open(never);
      first.close();
      (await next).close();
    }));

  it('that is to begin anew is emptied once in a build, however many steps use it and in whatever way', () =>
    withTempDir(async root => {
      const leave = async (sharing: CacheSpec['sharing']) => {
        const mount = await openCacheMount(storeIn(root), spec({ sharing }), never);
        writeFileSync(join(mount.path, 'old'), '');
        mount.close();
      };
      for (const sharing of ['shared', 'locked', 'private'] as const) {
        await leave(sharing);
        const emptied = new Map();
        const open = () => openCacheMount(storeIn(root), spec({ sharing }), never, { emptied });
        const first = await open();
        assert.deepEqual(readdirSync(first.path), [], sharing);
        writeFileSync(join(first.path, 'new'), '');
        first.close();
        const second = await open();
        assert.deepEqual(readdirSync(second.path), ['new'], sharing);
        second.close();
      }
    }));

  it('that is to begin anew is waited for while another build uses it', () =>
    withTempDir(async root => {
      const other = await openCacheMount(storeIn(root), spec(), never);
      writeFileSync(join(other.path, 'old'), '');
      const emptied = new Map();
      const both = [1, 2].map(() =>
        openCacheMount(storeIn(root), spec(), never, { emptied }).then(mount => {
          const names = readdirSync(mount.path);
          mount.close();
          return names;
        }),
      );
      assert.deepEqual(readdirSync(other.path), ['old']);
      other.close();
      assert.deepEqual(await Promise.all(both), [[], []]);
    }));
});
