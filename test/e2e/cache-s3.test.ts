// type=s3 against a real S3-compatible server (OpenStack Swift).
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { writeContext } from '../support/images.ts';
import { type Program, program, run } from '../support/program.ts';
import { build, cachedSteps } from '../support/remote-cache.ts';
import { repoRoot } from '../support/repo.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';

let server: S3Server;
before(async () => {
  server = await startS3Server();
  await server.makeBucket('caches');
});
after(() => server?.[Symbol.asyncDispose]());

const machine = (): Program => program(server.env);
const spec = (more = '') =>
  `type=s3,bucket=caches,endpoint_url=${server.endpoint},use_path_style=true${more}`;
const project = (slipway: Program, a = 'one') =>
  writeContext(slipway, {
    Dockerfile: 'FROM scratch AS made\nCOPY a /a\nFROM scratch\nCOPY --from=made /a /b\nWORKDIR /w\n',
    a,
  });

it('lets an empty machine execute nothing, and fetches layers when they are needed, also in a later run', async () => {
  using warm = machine();
  using empty = machine();
  const dir = project(warm);
  await build(warm, '--cache-to', spec(',name=app,prefix=team/,mode=max'), dir);
  const keys = await server.keys('caches');
  assert.ok(keys.includes('team/manifests/app'), keys.join());
  assert.equal(keys.filter(key => /^team\/blobs\/sha256:[0-9a-f]{64}$/.test(key)).length, 4);
  const from = ['--cache-from', spec(',name=app,prefix=team/')];
  assert.equal(cachedSteps(await build(empty, ...from, dir)), '3 of 3');
  assert.doesNotMatch((await build(empty, ...from, dir)).stderr, /fetch/);
  const out = join(empty.dir, 'out.tar');
  const ended = await build(empty, '-o', `type=tar,dest=${out}`, dir);
  assert.equal(cachedSteps(ended), '3 of 3');
  assert.match(ended.stderr, /\[internal\] fetch/);
  assert.ok(readFileSync(out).includes('one'));
});

it('is written by several at once and loses nothing', async () => {
  const machines = Array.from({ length: 4 }, machine);
  try {
    const contexts = machines.map((slipway, n) => project(slipway, `content ${n}`));
    await Promise.all(
      machines.map((slipway, n) => build(slipway, '--cache-to', spec(',name=many'), contexts[n] ?? '')),
    );
    for (const context of contexts) {
      using other = machine();
      const ended = await build(other, '--cache-from', spec(',name=many'), context);
      assert.equal(cachedSteps(ended), '2 of 3', ended.stderr);
    }
  } finally {
    for (const slipway of machines) slipway[Symbol.dispose]();
  }
});

it('says what is wrong, and no secret', async () => {
  using slipway = machine();
  const dir = project(slipway);
  const wrong = spec(',access_key_id=test:tester,secret_access_key=canary-77');
  const read = await build(slipway, '--cache-from', wrong, '--cache-from', spec(',name=none'), dir);
  assert.equal(read.stderr.match(/^warning: /gm)?.length, 1, read.stderr);
  assert.match(
    read.stderr,
    /warning: the cache s3:\/\/caches\/manifests\/slipway cannot be used: the bucket caches/,
  );
  const write = await slipway.run(['build', '--cache-to', wrong, dir]);
  assert.equal(write.status, 1);
  assert.match(write.stderr, /AWS_ACCESS_KEY_ID/);
  const missing = await slipway.run(['build', '--cache-to', spec().replace('caches', 'no-such-bucket'), dir]);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /there is no bucket no-such-bucket/);
  const odd = await slipway.run(['build', '--cache-to', `${wrong},mode=x`, dir]);
  assert.equal(odd.status, 2);
  for (const { stderr } of [read, write, odd]) assert.ok(!stderr.includes('canary-77'), stderr);
  const files = readdirSync(join(slipway.store, 'meta'), { recursive: true, encoding: 'utf8' });
  for (const name of files) {
    const path = join(slipway.store, 'meta', name);
    if (statSync(path).isFile()) assert.ok(!readFileSync(path).includes('canary-77'), name);
  }
});

it('needs a package that is not installed with slipway, and says so', async () => {
  using slipway = machine();
  const home = join(slipway.dir, 'installed');
  mkdirSync(join(home, 'node_modules'), { recursive: true });
  const { dependencies } = JSON.parse(readFileSync(join(repoRoot, 'package.json'), 'utf8'));
  for (const name of ['bin', 'dist/app', 'package.json']) {
    cpSync(join(repoRoot, name), join(home, name), { recursive: true });
  }
  for (const name of Object.keys(dependencies)) {
    symlinkSync(join(repoRoot, 'node_modules', name), join(home, 'node_modules', name));
  }
  const args = [
    process.execPath,
    join(home, 'bin/slipway.js'),
    'build',
    '--cache-to',
    spec(),
    project(slipway),
  ];
  const ended = await run(args, { env: { ...server.env, SLIPWAY_ROOT: slipway.store } });
  assert.equal(ended.status, 1, ended.stderr);
  assert.match(ended.stderr, /type=s3 needs the package @aws-sdk\/client-s3, which is not installed/);
  assert.match(ended.stderr, /npm install @aws-sdk\/client-s3/);
  assert.doesNotMatch(ended.stderr, /COPY/, 'before anything is built');
});
