// slipway cache mounts and --no-cache-mounts: what is listed, what is removed, what stays.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { baseImages } from '../support/base-registry.ts';
import { writeContext } from '../support/images.ts';
import type { Program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly sharing: string;
  readonly bytes: number;
  readonly lastUsed: string;
  readonly inUse: boolean;
  readonly path: string;
}

async function listed(slipway: Program): Promise<readonly Listed[]> {
  return JSON.parse((await slipway.must(['cache', 'mounts', '--json'])).stdout);
}

const names = async (slipway: Program) => (await listed(slipway)).map(({ name }) => name).sort();

function twoMounts(slipway: Program): string {
  return writeContext(slipway, {
    Dockerfile: `FROM busybox
RUN --mount=type=cache,id=npm,target=/a head -c 200000 /dev/zero > /a/f
RUN --mount=type=cache,id=pip,sharing=locked,target=/b echo x >> /b/lines; wc -l < /b/lines
`,
  });
}

test('mounts are listed with what they take, and removed by name, by id or all together', async () => {
  using slipway = registry.slipway();
  assert.deepEqual(await listed(slipway), []);
  await slipway.must(['build', '-q', twoMounts(slipway)]);
  const mounts = await listed(slipway);
  const [npm, pip] = ['npm', 'pip'].map(name => mounts.find(mount => mount.name === name));
  assert.ok(npm && pip && mounts.length === 2);
  assert.deepEqual([npm.sharing, pip.sharing, npm.inUse], ['shared', 'locked', false]);
  assert.ok(npm.bytes >= 200_000 && pip.bytes < 100_000, JSON.stringify(mounts));
  assert.ok(existsSync(join(npm.path, 'f')));
  const text = (await slipway.must(['cache', 'mounts'])).stdout;
  assert.match(text, /^ID +SHARING +LAST USED +SIZE +IN USE +NAME\n/);
  assert.match(text, new RegExp(`^${npm.id.slice(0, 12)}/0 +shared +.* ago +\\d.*kB +no +npm$`, 'm'));

  const unknown = await slipway.run(['cache', 'mounts', 'prune', 'npm', 'yarn']);
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /there is no cache mount yarn/);
  assert.match((await slipway.must(['cache', 'mounts', 'prune', '--dry-run'])).stdout, /Would be freed: 2/);
  assert.deepEqual(await names(slipway), ['npm', 'pip'], 'neither has removed anything');

  assert.match((await slipway.must(['cache', 'mounts', 'prune', 'npm'])).stdout, /\/0 {2}npm\nTotal: 2/);
  assert.deepEqual(await names(slipway), ['pip']);
  assert.ok(!existsSync(npm.path));
  await slipway.must(['cache', 'mounts', 'prune', pip.id.slice(0, 12)]);
  assert.deepEqual(await names(slipway), []);
  await slipway.must(['build', '-q', '--no-cache', twoMounts(slipway)]);
  await slipway.must(['cache', 'mounts', 'prune', '--force']);
  assert.deepEqual(await names(slipway), []);
});

test('a mount that a step is using stays; asked for by name, that is an error', async () => {
  using slipway = registry.slipway();
  const dir = writeContext(slipway, {
    Dockerfile:
      'FROM busybox\nRUN --mount=type=cache,id=busy,target=/c touch /c/started; while [ ! -e /c/go ]; do sleep 0.1; done\n',
  });
  const build = spawn(process.execPath, [join(repoRoot, 'bin/slipway.js'), 'build', '-q', dir], {
    stdio: 'ignore',
    env: {
      ...process.env,
      SLIPWAY_ROOT: slipway.store,
      CONTAINERS_REGISTRIES_CONF: registry.registriesConf,
    },
  });
  const ended = new Promise(resolve => build.once('close', resolve));
  let path: string | undefined;
  while (path === undefined || !existsSync(join(path, 'started'))) {
    assert.equal(build.exitCode, null);
    await sleep(50);
    path = (await listed(slipway))[0]?.path;
  }
  assert.equal((await listed(slipway))[0]?.inUse, true);
  assert.match((await slipway.must(['cache', 'mounts', 'prune', '-f'])).stdout, /In use, kept: 1\n/);
  const named = await slipway.run(['cache', 'mounts', 'prune', 'busy']);
  assert.equal(named.status, 1);
  assert.match(named.stderr, /the cache mount busy is in use/);
  writeFileSync(join(path, 'go'), '');
  assert.equal(await ended, 0);
});

test('--no-cache keeps what is in cache mounts, --no-cache-mounts begins with empty ones', async () => {
  using slipway = registry.slipway();
  const dir = twoMounts(slipway);
  const lines = async (...flags: string[]) => {
    const { stderr } = await slipway.must(['build', '--progress=plain', ...flags, dir]);
    return /^#\d+ \d+\.\d+ (\d+)$/m.exec(stderr)?.[1];
  };
  assert.equal(await lines(), '1');
  assert.equal(await lines('--no-cache'), '2');
  assert.equal(await lines('--no-cache', '--no-cache-mounts'), '1');
  assert.equal(await lines('--no-cache-mounts'), undefined, 'a step that is cached uses no mount');
  assert.equal(await lines('--no-cache'), '2');
});
