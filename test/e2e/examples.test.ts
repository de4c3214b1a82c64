// The four examples, built from real bases out of a real registry, loaded and run by a real Docker engine.
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Engine, startEngine } from '../support/engine.ts';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { type NpmRegistry, startNpmRegistry } from '../support/npm-registry.ts';
import { must, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

let engine: Engine;
let registry: BaseRegistry;
let npm: NpmRegistry;

before(async () => {
  [engine, registry, npm] = await Promise.all([
    startEngine(),
    startRegistry(),
    startNpmRegistry(['mri@1.2.0']),
  ]);
});

after(async () => {
  await Promise.all([engine?.stop(), registry?.stop(), npm?.stop()]);
});

const example = (name: string) => join(repoRoot, 'examples', name);
const conf = () => ({ CONTAINERS_REGISTRIES_CONF: registry.registriesConf });

async function load(tar: string): Promise<string> {
  const loaded = await engine.docker(['load'], { input: readFileSync(tar) });
  return /Loaded image: (\S+)/.exec(loaded)?.[1] ?? assert.fail(`docker load said ${loaded}`);
}

test('hello prints what its README promises', async () => {
  using slipway = program();
  const tar = join(slipway.dir, 'hello.tar');
  await slipway.must(['build', '-t', 'hello', '-o', `type=docker,dest=${tar}`, example('hello')]);
  const name = await load(tar);
  const said = await engine.docker(['run', '--rm', '--network=none', name]);
  assert.equal(said, 'Hello from slipway: this image was built without a daemon.\n');
});

test('node-app installs its dependency in RUN and greets as an ordinary user', async () => {
  using slipway = program(conf());
  const tar = join(slipway.dir, 'app.tar');
  const args = ['--build-arg', `NPM_REGISTRY=${npm.url}`, '-o', `type=docker,dest=${tar}`];
  await slipway.must(['build', '--progress=plain', '-t', 'node-app', ...args, example('node-app')]);
  const name = await load(tar);
  const run = ['run', '--rm', '--network=none', name];
  assert.equal(
    await engine.docker([...run, 'node', 'server.js', '--check', '--name=you']),
    'node-app would greet you as user 1500\n',
  );
  const files = await engine.docker([...run, 'ls', '-a', '/app']);
  assert.doesNotMatch(files, /README|Dockerfile|dockerignore/);
  assert.equal(await engine.docker([...run, 'sh', '-c', 'ls -A /root/.npm 2>/dev/null | wc -l']), '0\n');
  const config = JSON.parse(await engine.docker(['inspect', name]))[0].Config;
  assert.equal(config.User, 'app');
  assert.equal(config.Healthcheck.Interval, 10_000_000_000);
  const again = await slipway.must([
    'build',
    '--progress=plain',
    '-t',
    'node-app',
    ...args,
    example('node-app'),
  ]);
  assert.match(again.stderr, /RUN .*npm ci.*\n#\d+ CACHED/);
});

test('c-service is compiled in one stage and runs in another', async () => {
  using slipway = program(conf());
  const tar = join(slipway.dir, 'c.tar');
  await slipway.must(['build', '-t', 'c-service', '-o', `type=docker,dest=${tar}`, example('c-service')]);
  const name = await load(tar);
  const said = await engine.docker(['run', '--rm', '--network=none', name]);
  assert.equal(said, 'port 9000, uid 65534: compiled in one stage, running in another\n');
  const owner = await engine.docker([
    'run',
    '--rm',
    '--network=none',
    '--entrypoint=stat',
    name,
    '-c',
    '%U:%G',
    '/usr/local/bin/service',
  ]);
  assert.equal(owner, 'nobody:nogroup\n');
  const size = JSON.parse(await engine.docker(['inspect', name]))[0].Size;
  assert.ok(size < 10_000_000, `the compiler stayed behind: ${size} bytes`);
});

test('base-image is a root file system that works', async () => {
  using slipway = program();
  const context = join(slipway.dir, 'context');
  cpSync(example('base-image'), context, { recursive: true });
  await must(['sh', join(context, 'make-rootfs.sh')]);
  const tar = join(slipway.dir, 'base.tar');
  await slipway.must(['build', '-t', 'my-base', '-o', `type=docker,dest=${tar}`, context]);
  const name = await load(tar);
  assert.match(
    await engine.docker([
      'run',
      '--rm',
      '--network=none',
      name,
      'sh',
      '-c',
      'echo hello from $(busybox | head -1)',
    ]),
    /^hello from BusyBox/,
  );
  // Hard links of the archive are hard links of the image.
  assert.match(
    await engine.docker([
      'run',
      '--rm',
      '--network=none',
      name,
      'sh',
      '-c',
      '[ /bin/ls -ef /bin/cat ] && echo one file',
    ]),
    /one file/,
  );
});
