// Concurrent builds on one store, what a killed one leaves, and what du and prune do, through the real command line.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { baseImages } from '../support/base-registry.ts';
import { must, type Program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

const bin = join(repoRoot, 'bin/slipway.js');

function project(slipway: Program, dockerfile: string, name = 'project'): string {
  const dir = join(slipway.dir, name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'Dockerfile'), dockerfile);
  return dir;
}

interface Du {
  readonly totalBytes: number;
  readonly reclaimableBytes: number;
  readonly types: { readonly type: string; readonly count: number; readonly bytes: number }[];
  readonly items: { readonly type: string; readonly id: string; readonly description: string }[];
}

async function du(slipway: Program): Promise<Du> {
  return JSON.parse((await slipway.must(['du', '--json'])).stdout) as Du;
}

const count = (usage: Du, type: string) => usage.types.find(each => each.type === type)?.count;

/** As if nothing had been used for ten days. */
function age(slipway: Program): void {
  const then = new Date(Date.now() - 10 * 86_400_000);
  for (const dir of ['blobs/sha256', 'trees']) {
    const path = join(slipway.store, dir);
    for (const name of readdirSync(path)) utimesSync(join(path, name), then, then);
  }
}

test('equal steps of concurrent builds are executed once, and all get the same image', async () => {
  using slipway = registry.slipway();
  const dir = project(
    slipway,
    'FROM busybox\nRUN --mount=type=cache,target=/c echo x >> /c/times; sleep 1; cat /c/times; date +%N > /when\n',
  );
  await slipway.must(['pull', '-q', 'busybox']).catch(() => undefined);
  const all = await Promise.all(
    [1, 2, 3].map(n =>
      slipway.must(['build', '-q', '-t', `x${n}`, dir], { env: { SOURCE_DATE_EPOCH: '1' } }),
    ),
  );
  assert.equal(new Set(all.map(ended => ended.stdout)).size, 1, 'one image');
  assert.equal((await slipway.must(['logs', '2'])).stdout, 'x\n', 'executed once');
  assert.deepEqual(readdirSync(join(slipway.store, 'locks')), [], 'no lock is left');
  const { stdout } = await slipway.must(['images']);
  for (const n of [1, 2, 3]) assert.match(stdout, new RegExp(`^x${n} `, 'm'), 'no name is lost');
});

test('when the build that executes a step is killed, one that waits takes over', async () => {
  using slipway = registry.slipway();
  const marker = join(slipway.dir, 'marker');
  const dir = project(
    slipway,
    'FROM busybox\nRUN --mount=type=cache,target=/c echo start >> /c/starts; [ $(wc -l < /c/starts) -gt 1 ] || sleep 60; wc -l < /c/starts\n',
  );
  const first = spawn(process.execPath, [bin, 'build', '--progress=plain', dir], {
    env: { ...process.env, SLIPWAY_ROOT: slipway.store, CONTAINERS_REGISTRIES_CONF: registry.registriesConf },
    stdio: 'ignore',
  });
  const mounts = join(slipway.store, 'mounts');
  const hasStarted = () =>
    existsSync(mounts) && readdirSync(mounts).some(id => existsSync(join(mounts, id, '0/fs/starts')));
  while (!hasStarted()) await sleep(20);
  const second = slipway.must(['build', '-q', dir]);
  await sleep(1500);
  first.kill('SIGKILL');
  await second;
  assert.equal((await slipway.must(['logs', '2'])).stdout.trim(), '2', marker);
});

test('du counts shared blobs once and prune keeps named images with their steps', async () => {
  using slipway = registry.slipway();
  const file = `FROM scratch\nCOPY big /\n`;
  const dir = project(slipway, file);
  writeFileSync(join(dir, 'big'), Buffer.alloc(1_000_000, 'x'));
  await slipway.must(['build', '-q', '-t', 'one', dir]);
  await slipway.must(['build', '-q', '-t', 'two', '--label', 'a=b', dir]);
  const before = await du(slipway);
  assert.equal(count(before, 'image'), 2);
  assert.ok(before.totalBytes > 1_000_000 && before.totalBytes < 1_900_000, String(before.totalBytes));
  await slipway.must(['prune', '-f']);
  assert.match(
    (await slipway.must(['build', '--progress=plain', dir])).stderr,
    /CACHED[\s\S]*1 of 1 steps cached/,
  );
  const text = (await slipway.must(['du', '-v'])).stdout;
  assert.match(text, /^image +docker\.io\/library\/one:latest/m);
  assert.match(text, /^Total: +1/m);
});

test('a dry run says how much is freed, with what nothing needs any more', async () => {
  using slipway = registry.slipway();
  const dir = project(slipway, 'FROM scratch\nCOPY Dockerfile /\n');
  writeFileSync(join(dir, 'big'), Buffer.alloc(1_000_000, 'x'));
  await must(['tar', '-C', dir, '-cf', join(slipway.dir, 'big.tar'), 'big']);
  await slipway.must(['build', '-q', dir]);
  await slipway.must(['import', join(slipway.dir, 'big.tar'), 'gone']);
  await slipway.must(['rmi', '--no-prune', 'gone']);
  const { reclaimableBytes } = await du(slipway);
  assert.ok(reclaimableBytes > 1_000_000, String(reclaimableBytes));
  const figure = async (...args: string[]) =>
    /^(?:Would be freed|Total): (.*)$/m.exec((await slipway.must(['prune', ...args])).stdout)?.[1];
  assert.equal(await figure('--dry-run', '--filter=type=mount'), '0B');
  const said = await figure('--dry-run');
  assert.match(said ?? '', /^1\.\d+MB$/);
  assert.equal(await figure('-f'), said);
});

test('prune removes what no named image needs: steps, mounts, bases with --all', async () => {
  using slipway = registry.slipway();
  const dir = project(
    slipway,
    'FROM busybox\nRUN --mount=type=cache,id=deps,target=/c dd if=/dev/zero of=/c/z bs=1M count=2; head -c 3000000 /dev/urandom > /big\n',
  );
  await slipway.must(['build', '-q', dir]);
  const before = await du(slipway);
  assert.equal(count(before, 'mount'), 1);
  assert.ok(before.items.some(item => item.type === 'mount' && item.description === 'deps'));
  age(slipway);
  const dry = await slipway.must(['prune', '--dry-run', '--filter', 'until=24h']);
  assert.match(dry.stdout, /Would be freed: /);
  assert.deepEqual((await du(slipway)).types, before.types, 'a dry run removes nothing');
  await slipway.must(['prune', '-f', '--filter', 'type=mount']);
  const without = await du(slipway);
  assert.equal(count(without, 'mount'), 0);
  assert.equal(count(without, 'step'), 1);
  await slipway.must(['prune', '-f']);
  const pruned = await du(slipway);
  assert.deepEqual([count(pruned, 'step'), count(pruned, 'untagged'), count(pruned, 'base')], [0, 0, 1]);
  await slipway.must(['prune', '-a', '-f']);
  const empty = await du(slipway);
  assert.deepEqual(empty.items, []);
  assert.equal(empty.reclaimableBytes, 0);
  await slipway.must(['build', '-q', dir]);
});

test('prune --keep-storage removes the least recently used first and stops when it is enough', async () => {
  using slipway = registry.slipway();
  const steps = ['a', 'b', 'c'];
  for (const name of steps) {
    const dir = project(slipway, 'FROM scratch\nCOPY file /\n', name);
    writeFileSync(join(dir, 'file'), Buffer.alloc(1_000_000, name));
    await slipway.must(['build', '-q', '-o', 'type=tar,dest=/dev/null', dir]);
    await sleep(50);
  }
  age(slipway);
  const cached = async (name: string) => {
    const out = join(slipway.dir, 'out.tar');
    const { stderr } = await slipway.must([
      'build',
      '--progress=plain',
      '-o',
      `type=tar,dest=${out}`,
      join(slipway.dir, name),
    ]);
    return /1 of 1 steps cached/.test(stderr);
  };
  assert.equal(await cached('a'), true, 'used just now');
  await slipway.must(['prune', '-f', '--keep-storage', '1.5MB']);
  assert.deepEqual([await cached('a'), await cached('b')], [true, false]);
  assert.equal((await slipway.run(['prune', '-f', '--keep-storage', 'much'])).status, 2);
  assert.equal((await slipway.run(['prune', '-f', '--filter', 'type=nothing'])).status, 2);
});

test('builds go on while prune --all runs again and again', async () => {
  using slipway = registry.slipway();
  const dir = project(slipway, 'FROM busybox\nRUN echo same > /a\nRUN echo more > /b\nCOPY file /\n');
  writeFileSync(join(dir, 'file'), 'x');
  utimesSync(join(dir, 'file'), 1, 1);
  const env = { SOURCE_DATE_EPOCH: '1700000000' };
  const build = async () => (await slipway.must(['build', '-q', dir], { env })).stdout;
  const alone = await build();
  let isOver = false;
  const pruning = (async () => {
    while (!isOver) await slipway.must(['prune', '-a', '-f']);
  })();
  try {
    for (let i = 0; i < 4; i++) {
      for (const result of await Promise.all([build(), build()])) assert.equal(result, alone);
    }
  } finally {
    isOver = true;
  }
  await pruning;
});

test('different builds, prune and a killed build at the same time: every image and every name is there', async () => {
  using slipway = registry.slipway();
  const env = { SOURCE_DATE_EPOCH: '1700000000' };
  const names = ['a', 'b', 'c', 'd'];
  const file = (name: string) =>
    `FROM busybox\nRUN echo same > /same\nCOPY file /\nRUN echo ${name} > /own; seq 20000 > /many\n`;
  const dirs = names.map(name => {
    const dir = project(slipway, file(name), name);
    writeFileSync(join(dir, 'file'), name);
    utimesSync(join(dir, 'file'), 1, 1);
    return dir;
  });
  const build = async (i: number, tag: string) =>
    (await slipway.must(['build', '-q', '-t', tag, dirs[i] ?? ''], { env })).stdout;
  const alone: string[] = [];
  for (const i of names.keys()) alone.push(await build(i, `alone-${names[i]}`));
  await slipway.must(['rmi', ...names.map(name => `alone-${name}`)]);
  for (let round = 0; round < 2; round++) {
    await slipway.must(['prune', '-a', '-f']);
    const victim = spawn(process.execPath, [bin, 'build', '-q', dirs[round] ?? ''], {
      env: {
        ...process.env,
        ...env,
        SLIPWAY_ROOT: slipway.store,
        CONTAINERS_REGISTRIES_CONF: registry.registriesConf,
      },
      stdio: 'ignore',
    });
    const killed = new Promise(resolve => victim.once('close', resolve));
    const builds = names.map((name, i) => build(i, `${name}-${round}`));
    const pruning = slipway.must(['prune', '-f']);
    await sleep(200 + round * 300);
    victim.kill('SIGKILL');
    assert.deepEqual(await Promise.all(builds), alone);
    await Promise.all([pruning, killed]);
  }
  const index = readFileSync(join(slipway.store, 'index.json'), 'utf8');
  const { stdout } = await slipway.must(['images']);
  for (const round of [0, 1]) {
    for (const name of names) {
      assert.match(index, new RegExp(`docker.io/library/${name}-${round}:latest`));
      assert.match(stdout, new RegExp(`^${name}-${round} `, 'm'));
    }
  }
});

test('prune works on a full disk', async () => {
  using slipway = registry.slipway();
  const dir = project(slipway, 'FROM scratch\nCOPY file /\n');
  writeFileSync(join(dir, 'file'), Buffer.alloc(6_000_000, 1));
  const disk = join(slipway.dir, 'disk');
  mkdirSync(disk);
  const script = `
    set -e
    mount -t tmpfs -o size=16m none ${disk}
    export SLIPWAY_ROOT=${disk}/store
    ${process.execPath} ${bin} build -q ${dir}
    dd if=/dev/zero of=${disk}/filler bs=4k 2>/dev/null || true
    if ${process.execPath} ${bin} build -q --no-cache ${dir} 2> ${disk}.err; then echo "there was room"; exit 1; fi
    ${process.execPath} ${bin} prune -a -f
    ${process.execPath} ${bin} du
  `;
  const out = await must(['unshare', '-m', 'sh', '-c', script]);
  assert.match(out, /Total: 6(?:\.\d+)?MB/);
  assert.match(readFileSync(`${disk}.err`, 'utf8'), /no space left/);
  assert.ok(statSync(disk).isDirectory());
});
