import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BuildError } from '../../src/errors.ts';
import { tryLock } from '../../src/host/lock.ts';
import { digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { defaultStoreRoot, openStore } from '../../src/store/open.ts';
import { stepLocksOf } from '../../src/store/step-locks.ts';
import { storeContract } from '../contracts/store.ts';
import { withTempDir } from '../support/temp-dir.ts';

storeContract('a directory', root => openStore(root));

const childScript = fileURLToPath(new URL('../support/store-child.js', import.meta.url));

function child(...args: string[]): ChildProcess {
  return spawn(process.execPath, [childScript, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function ended(process: ChildProcess): Promise<void> {
  const [status] = await once(process, 'close');
  assert.equal(status, 0);
}

const descriptor = { mediaType: mediaTypes.ociManifest, digest: digestOf('m'), size: 1 };

function everyFile(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' });
}

describe('the place of the store', () => {
  it('is $SLIPWAY_ROOT before $XDG_DATA_HOME before the home directory', () => {
    const env = { SLIPWAY_ROOT: '/a', XDG_DATA_HOME: '/b', HOME: '/home/u' };
    assert.equal(defaultStoreRoot(env, 1000), '/a');
    assert.equal(defaultStoreRoot({ ...env, SLIPWAY_ROOT: '' }, 1000), '/b/slipway');
    assert.equal(defaultStoreRoot({ HOME: '/home/u' }, 1000), '/home/u/.local/share/slipway');
    assert.equal(defaultStoreRoot({ HOME: '/root' }, 0), '/var/lib/slipway');
  });

  it('does not depend on a relative $XDG_DATA_HOME, which its standard says to ignore', () => {
    assert.equal(defaultStoreRoot({ XDG_DATA_HOME: 'x', HOME: '/h' }, 1), '/h/.local/share/slipway');
  });
});

describe('opening a store', () => {
  it('makes directories that nobody else can enter, whatever the umask', () =>
    withTempDir(async dir => {
      const before = process.umask(0);
      try {
        const store = await openStore(join(dir, 'deep', 'store'));
        for (const path of [`${dir}/deep`, store.root, store.tmp, ...readdirSync(store.root)]) {
          const full = path.startsWith('/') ? path : join(store.root, path);
          if (lstatSync(full).isDirectory()) assert.equal(statSync(full).mode & 0o077, 0, full);
        }
        await store.close();
      } finally {
        process.umask(before);
      }
    }));

  it('works under a umask that takes everything away', () =>
    withTempDir(async dir => {
      const before = process.umask(0o777);
      try {
        const store = await openStore(join(dir, 'store'));
        const digest = await store.blobs.put('x');
        assert.equal((await store.blobs.read(digest)).toString(), 'x');
        await store.close();
      } finally {
        process.umask(before);
      }
    }));

  it('refuses a store of a newer version and writes nothing to it', () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      await (await openStore(root)).close();
      writeFileSync(join(root, 'slipway.json'), '{"storeVersion":2}');
      const before = everyFile(root).map(name => [name, lstatSync(join(root, name)).mtimeMs]);
      await assert.rejects(openStore(root), (error: unknown) => {
        assert.ok(error instanceof BuildError);
        assert.equal(error.code, 'store');
        assert.match(error.message, /newer/);
        return true;
      });
      assert.deepEqual(
        everyFile(root).map(name => [name, lstatSync(join(root, name)).mtimeMs]),
        before,
      );
    }));

  it('refuses a directory that holds something else and leaves it alone', () =>
    withTempDir(async dir => {
      writeFileSync(join(dir, 'index.json'), '{"mine":true}');
      await assert.rejects(openStore(dir), { code: 'store' });
      assert.deepEqual(everyFile(dir), ['index.json']);
      assert.equal(readFileSync(join(dir, 'index.json'), 'utf8'), '{"mine":true}');
    }));

  it('refuses a directory that others may write to', () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      mkdirSync(root);
      chmodSync(root, 0o777);
      await assert.rejects(openStore(root), (error: unknown) => {
        assert.match((error as BuildError).hint ?? '', /chmod 700/);
        return true;
      });
    }));

  it('says which path failed when a file is in the way', () =>
    withTempDir(async dir => {
      writeFileSync(join(dir, 'file'), '');
      await assert.rejects(openStore(join(dir, 'file', 'store')), { code: 'store' });
      await assert.rejects(openStore(join(dir, 'file')), { code: 'store' });
    }));

  it('is an OCI image layout that lists the names with both annotations', () =>
    withTempDir(async dir => {
      const store = await openStore(join(dir, 'store'));
      await store.names.set('docker.io/library/app:v1', descriptor);
      await store.names.set('reg.example:5000/x/y:2', descriptor);
      await store.close();
      assert.deepEqual(JSON.parse(readFileSync(join(store.root, 'oci-layout'), 'utf8')), {
        imageLayoutVersion: '1.0.0',
      });
      const index = JSON.parse(readFileSync(join(store.root, 'index.json'), 'utf8'));
      assert.deepEqual(
        index.manifests.map((m: { annotations: unknown }) => m.annotations),
        [
          {
            'io.containerd.image.name': 'docker.io/library/app:v1',
            'org.opencontainers.image.ref.name': 'v1',
          },
          { 'io.containerd.image.name': 'reg.example:5000/x/y:2', 'org.opencontainers.image.ref.name': '2' },
        ],
      );
    }));

  it('goes on without a damaged database: names come back out of index.json', () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      const first = await openStore(root);
      await first.names.set('docker.io/library/app:v1', descriptor);
      first.meta.set('misc', 'x', 1);
      await first.close();
      writeFileSync(join(root, 'meta/data.mdb'), Buffer.alloc(65536, 7));
      const warnings: string[] = [];
      const second = await openStore(root, { onWarning: text => warnings.push(text) });
      assert.deepEqual(second.names.get('docker.io/library/app:v1')?.descriptor, descriptor);
      assert.equal(second.meta.get('misc', 'x'), undefined);
      assert.equal(warnings.length, 1);
      await second.close();
    }));

  it('goes on without a database that was cut off', () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      const first = await openStore(root);
      await first.names.set('docker.io/library/app:v1', descriptor);
      for (let i = 0; i < 2000; i++) first.meta.set('misc', `k${i}`, 'x'.repeat(100));
      await first.close();
      const path = join(root, 'meta/data.mdb');
      for (const size of [Math.floor(statSync(path).size / 2), 8192, 5000, 10, 0]) {
        truncateSync(path, size);
        const again = await openStore(root);
        const found = again.names.get('docker.io/library/app:v1')?.descriptor;
        assert.deepEqual(found, descriptor, `cut off at ${size}`);
        await again.close();
      }
    }));
});

describe('several processes on one store', () => {
  it('lose no name that one of them sets', () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      await Promise.all(['a', 'b', 'c'].map(who => ended(child(root, 'name-many', who))));
      const store = await openStore(root);
      assert.equal(store.names.list().length, 60);
      const index = JSON.parse(readFileSync(join(root, 'index.json'), 'utf8'));
      assert.equal(index.manifests.length, 60);
      await store.close();
    }));

  it('keep what a living one has unfinished and remove it once that one was killed', () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      const hanging = child(root, 'hang');
      const [line] = (await once(hanging.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
      const unfinished = JSON.parse(line.toString()) as string[];
      await (await openStore(root)).close();
      for (const path of unfinished) assert.equal(existsSync(path), true, path);
      hanging.kill('SIGKILL');
      await once(hanging, 'close');
      const store = await openStore(root);
      for (const path of unfinished) assert.equal(existsSync(path), false, path);
      assert.deepEqual(readdirSync(join(root, 'ingest')), []);
      assert.deepEqual(readdirSync(join(root, 'tmp')), []);
      await store.close();
    }));

  it('keep the lock of a step that a living one executes, and remove the file of one that was killed', () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      await (await openStore(root)).close();
      mkdirSync(stepLocksOf(root));
      writeFileSync(join(stepLocksOf(root), 'dead'), '');
      using held = tryLock(join(stepLocksOf(root), 'alive'), 'exclusive');
      assert.ok(held);
      await (await openStore(root)).close();
      assert.deepEqual(readdirSync(stepLocksOf(root)), ['alive']);
    }));

  // lmdb-js alone loses transactions, refuses to write, or waits for ever (store/meta-turns.ts).
  it('may be opened at any moment while others write', { timeout: 120_000 }, () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      await (await openStore(root)).close();
      const writers = ['a', 'b'].map(who => ended(child(root, 'write-many', who)));
      const openers = [1, 2, 3].map(() => ended(child(root, 'open-many')));
      await Promise.all([...writers, ...openers]);
      const store = await openStore(root);
      for (const who of ['a', 'b']) {
        const last = Array.from({ length: 50 }, (_, i) => store.meta.get('misc', `${who}${i}`));
        assert.deepEqual(
          last,
          last.map((_, i) => 250 + i),
        );
      }
      await store.close();
    }),
  );

  it('see what another one wrote', () =>
    withTempDir(async dir => {
      const store = await openStore(join(dir, 'store'));
      await ended(child(store.root, 'set', 'theirs'));
      assert.equal(typeof store.meta.get('misc', 'theirs'), 'number');
      await store.close();
    }));
});

describe('closing a store', () => {
  it('leaves nothing unfinished behind', () =>
    withTempDir(async dir => {
      const store = await openStore(join(dir, 'store'));
      const ingest = await store.blobs.ingest();
      const { tmp } = store;
      await store.close();
      assert.equal(existsSync(ingest.path), false);
      assert.equal(existsSync(tmp), false);
    }));
});
