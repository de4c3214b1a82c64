// Why a step was executed, and what steps wrote, through the real command line.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { type Program, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

let registry: BaseRegistry;

before(async () => {
  registry = await startRegistry();
});

after(() => registry?.stop());

const slipwayHere = () => program({ CONTAINERS_REGISTRIES_CONF: registry.registriesConf });

function project(slipway: Program, dockerfile: string): string {
  const dir = join(slipway.dir, 'project');
  mkdirSync(dir);
  writeFileSync(join(dir, 'Dockerfile'), dockerfile);
  return dir;
}

/** Instruction -> why it was executed; cached ones are missing. */
async function explain(slipway: Program, dir: string, ...args: string[]): Promise<Record<string, string>> {
  await slipway.must(['build', '-q', '-t', 'x', ...args, dir]);
  const { stdout } = await slipway.must(['cache', 'why', '--json']);
  const { steps } = JSON.parse(stdout) as { steps: { display: string; outcome: string; reason?: string }[] };
  return Object.fromEntries(
    steps.filter(step => step.outcome === 'done').map(step => [step.display, step.reason ?? '']),
  );
}

test('every kind of change is named: content with sizes, mode, link, added and removed files', async () => {
  using slipway = slipwayHere();
  const dir = project(slipway, 'FROM scratch\nCOPY files /\n');
  mkdirSync(join(dir, 'files'));
  const file = (name: string) => join(dir, 'files', name);
  writeFileSync(file('package.json'), 'x'.repeat(1200));
  writeFileSync(file('run.sh'), 'run', { mode: 0o644 });
  symlinkSync('old', file('link'));
  const why = async () => (await explain(slipway, dir))['COPY files /'];
  assert.equal(await why(), 'no earlier record');
  assert.equal(await why(), undefined, 'unchanged is cached');
  writeFileSync(file('package.json'), 'x'.repeat(1300));
  assert.equal(await why(), 'package.json changed (1.2 kB → 1.3 kB)');
  chmodSync(file('run.sh'), 0o755);
  assert.equal(await why(), 'mode of run.sh 0644 → 0755');
  rmSync(file('link'));
  symlinkSync('new', file('link'));
  assert.equal(await why(), 'link pointed to old, points to new');
  writeFileSync(file('added.txt'), '');
  assert.equal(await why(), 'added.txt added');
  rmSync(file('added.txt'));
  rmSync(file('run.sh'));
  assert.equal(await why(), 'added.txt removed, and 1 more');
});

test('an argument, a variable, a command and what follows from them are named', async () => {
  using slipway = slipwayHere();
  const lines = (env: string, command: string) =>
    `FROM busybox\nARG VERSION=1.4\nENV MODE=${env}\nRUN ${command}\nRUN echo after > /after\n`;
  const dir = project(slipway, lines('a', 'echo "$VERSION" > /v'));
  const command = 'RUN echo "$VERSION" > /v';
  await explain(slipway, dir);
  const changed = await explain(slipway, dir, '--build-arg', 'VERSION=1.5');
  const [first = ''] = Object.keys(changed);
  assert.equal(changed[first], 'ARG VERSION 1.4 → 1.5');
  writeFileSync(join(dir, 'Dockerfile'), lines('b', 'echo "$VERSION" > /v'));
  assert.deepEqual(Object.values(await explain(slipway, dir, '--build-arg', 'VERSION=1.5')), [
    'ENV MODE a → b',
    'ENV MODE a → b',
  ]);
  writeFileSync(join(dir, 'Dockerfile'), lines('b', 'echo new > /v'));
  const { 'RUN echo new > /v': own, 'RUN echo after > /after': later } = await explain(
    slipway,
    dir,
    '--build-arg',
    'VERSION=1.5',
  );
  assert.match(own ?? '', /^command .* → "echo new > \/v"$/);
  assert.equal(later, 'follows RUN echo new > /v');
  assert.ok(command);
});

test('a base that moved is named, and another base', async () => {
  using slipway = slipwayHere();
  const base = join(slipway.dir, 'base');
  mkdirSync(base);
  const build = async (text: string) => {
    writeFileSync(join(base, 'Dockerfile'), 'FROM scratch\nCOPY file /\n');
    writeFileSync(join(base, 'file'), text);
    await slipway.must(['build', '-q', '-t', 'node:22', base]);
    await slipway.must(['build', '-q', '-t', 'node:24', base]);
  };
  const dir = project(slipway, 'FROM node:22\nWORKDIR /app\n');
  await build('one');
  await explain(slipway, dir);
  await build('two');
  assert.deepEqual(await explain(slipway, dir), { 'WORKDIR /app': 'base node:22 moved' });
  await build('three');
  writeFileSync(join(dir, 'Dockerfile'), 'FROM node:24\nWORKDIR /app\n');
  assert.deepEqual(await explain(slipway, dir), { 'WORKDIR /app': 'base node:22 → node:24' });
});

test('--explain says it beside the step, and a like step of another checkout is compared with', async () => {
  using slipway = slipwayHere();
  const dir = project(slipway, 'FROM scratch\nCOPY file /\n');
  writeFileSync(join(dir, 'file'), 'one');
  await explain(slipway, dir);
  const other = join(slipway.dir, 'checkout-2');
  cpSync(dir, other, { recursive: true });
  writeFileSync(join(other, 'file'), 'longer');
  const { stderr } = await slipway.must(['build', '--explain', '--progress=plain', other]);
  assert.match(stderr, /^#\d+ executed: file changed \(3 B → 6 B\)$/m);
  const quiet = await slipway.must(['build', '--progress=plain', '--no-cache', other]);
  assert.doesNotMatch(quiet.stderr, /executed:/);
  assert.match(
    (await slipway.must(['cache', 'why'])).stdout,
    /executed in .*: the cache was not asked for this step/,
  );
});

test('logs are whole, also of cached and failed steps, and hold no secret', async () => {
  using slipway = slipwayHere();
  const dir = project(
    slipway,
    'FROM busybox\nRUN seq 1 200000\nRUN --mount=type=secret,id=token echo "it is $(cat /run/secrets/token)!"\nRUN echo last words; exit 3\n',
  );
  const secret = { env: { TOKEN: 'hunter2-hunter2' } };
  const args = ['build', '-q', '--secret', 'id=token,env=TOKEN', dir];
  assert.equal((await slipway.run(args, secret)).status, 1);
  const expected = `${Array.from({ length: 200_000 }, (_, i) => i + 1).join('\n')}\n`;
  assert.equal((await slipway.must(['logs', '2/4'])).stdout, expected);
  assert.equal((await slipway.run(args, secret)).status, 1);
  assert.equal((await slipway.must(['logs', 'RUN seq'])).stdout, expected, 'of a cached step');
  assert.equal((await slipway.must(['logs', '3'])).stdout, 'it is ********!\n');
  assert.equal((await slipway.must(['logs', '4'])).stdout, 'last words\n');
  const all = (await slipway.must(['logs'])).stdout;
  assert.match(all, /==> \[4\/4\] RUN echo last words; exit 3\nlast words\n$/);
  const unknown = await slipway.run(['logs', 'RUN nothing']);
  assert.equal(unknown.status, 2);
  assert.match(unknown.stderr, /no step "RUN nothing"[\s\S]*\[2\/4\] RUN seq/);
});

test('finished steps are kept when a later one fails', async () => {
  using slipway = slipwayHere();
  const dir = project(slipway, 'FROM busybox\nRUN date +%N > /when\nRUN exit 1\n');
  assert.equal((await slipway.run(['build', '-q', dir])).status, 1);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM busybox\nRUN date +%N > /when\nRUN true\n');
  assert.deepEqual(Object.keys(await explain(slipway, dir)), ['RUN true']);
});

test('finished steps are kept when the user interrupts, and the build goes on from there', async () => {
  using slipway = slipwayHere();
  const dir = project(slipway, 'FROM busybox\nRUN date +%N > /when\nRUN echo waiting; sleep 60\n');
  const child = spawn(
    process.execPath,
    [join(repoRoot, 'bin/slipway.js'), 'build', '--progress=plain', dir],
    {
      env: {
        ...process.env,
        SLIPWAY_ROOT: slipway.store,
        CONTAINERS_REGISTRIES_CONF: registry.registriesConf,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let text = '';
  for await (const chunk of child.stderr) {
    text += chunk;
    if (/ waiting$/m.test(text) && child.exitCode === null && !child.killed) child.kill('SIGINT');
  }
  const status = child.exitCode ?? (await new Promise(resolve => child.on('close', resolve)));
  assert.equal(status, 130, text);
  assert.match((await slipway.must(['cache', 'why'])).stdout, /: interrupted\n[\s\S]*stopped after/);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM busybox\nRUN date +%N > /when\nRUN echo done\n');
  assert.deepEqual(Object.keys(await explain(slipway, dir)), ['RUN echo done']);
});

test('a result older than --cache-ttl is not taken', async () => {
  using slipway = slipwayHere();
  const dir = project(slipway, 'FROM scratch\nCOPY Dockerfile /\n');
  await explain(slipway, dir);
  assert.deepEqual(await explain(slipway, dir, '--cache-ttl', '1h'), {});
  assert.deepEqual(await explain(slipway, dir, '--cache-ttl', '0s'), {
    'COPY Dockerfile /': 'the earlier result is older than --cache-ttl allows',
  });
  assert.equal((await slipway.run(['build', '--cache-ttl', 'soon', dir])).status, 2);
});

test('contents of secrets and cache mounts and undeclared proxies change no key, declared arguments do', async () => {
  using slipway = slipwayHere();
  const dir = project(
    slipway,
    'FROM busybox\nRUN --mount=type=secret,id=s --mount=type=cache,target=/c date +%N | tee -a /c/times > /when\n',
  );
  const build = (secret: string, ...args: string[]) => {
    writeFileSync(join(slipway.dir, 'secret'), secret);
    return explain(slipway, dir, '--secret', `id=s,src=${join(slipway.dir, 'secret')}`, ...args);
  };
  assert.equal(Object.keys(await build('one')).length, 1);
  assert.deepEqual(await build('two', '--build-arg', 'HTTP_PROXY=http://proxy:1'), {});
  assert.deepEqual(await build('two', '--build-arg', 'https_proxy=http://proxy:2'), {});
  const file = join(dir, 'Dockerfile');
  writeFileSync(file, readFileSync(file, 'utf8').replace('RUN', 'ARG HTTP_PROXY\nRUN'));
  assert.equal(Object.keys(await build('two', '--build-arg', 'HTTP_PROXY=http://proxy:1')).length, 1);
});

test('--offline opens no socket and names everything that is missing at once', async () => {
  using slipway = slipwayHere();
  const dir = project(slipway, 'FROM busybox\nRUN echo x > /x\n');
  await slipway.must(['build', '-q', dir]);
  await registry.stop();
  try {
    await slipway.must(['build', '-q', '--offline', dir]);
    writeFileSync(
      join(dir, 'Dockerfile'),
      'FROM alpine AS a\nFROM debian\nCOPY --from=a / /\nADD http://example.invalid/file /\n',
    );
    const { status, stderr } = await slipway.run(['build', '--offline', dir]);
    assert.notEqual(status, 0);
    for (const name of ['alpine', 'debian', 'http://example.invalid/file'])
      assert.ok(stderr.includes(name), stderr);
    assert.equal((await slipway.run(['build', '--offline', '--push', '-t', 'a/b', dir])).status, 2);
  } finally {
    registry = await startRegistry();
  }
});
