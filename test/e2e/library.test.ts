// The library as a program in Node uses it: the bundle that package.json's exports name.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type * as Library from '../../src/index.ts';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { processesWith, waitUntilGone } from '../support/processes.ts';
import { type Program, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

let registry: BaseRegistry;
let library: typeof Library;

before(async () => {
  registry = await startRegistry();
  const { exports } = JSON.parse(readFileSync(join(repoRoot, 'package.json'), 'utf8'));
  library = await import(pathToFileURL(join(repoRoot, exports['.'].default)).href);
});

after(() => registry?.stop());

function project(
  slipway: Program,
  dockerfile: string,
): { context: string; root: string; env: NodeJS.ProcessEnv } {
  const context = join(slipway.dir, 'project');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  writeFileSync(join(context, 'file'), 'content');
  const env = { ...process.env, CONTAINERS_REGISTRIES_CONF: registry.registriesConf };
  return { context, root: slipway.store, env };
}

test('buildImage builds, tells what happens, and says what was built', async () => {
  using slipway = program();
  const dest = join(slipway.dir, 'app.tar');
  const events: Library.BuildEvent[] = [];
  const image = await library.buildImage({
    ...project(
      slipway,
      'FROM busybox\nARG A\nCOPY file /\nRUN --mount=type=secret,id=word cat /run/secrets/word | rev; echo; echo "a=$A"\n',
    ),
    tags: ['app:1', 'app:2'],
    buildArgs: { A: 'x y=z' },
    labels: { who: 'me' },
    secrets: { word: 'hush,=hush' },
    outputs: ['type=image', `type=oci,dest=${dest}`],
    onEvent: event => events.push(event),
  });
  assert.deepEqual(image.names, ['docker.io/library/app:1', 'docker.io/library/app:2']);
  assert.deepEqual([image.cachedSteps, image.totalSteps], [0, 2]);
  assert.match(image.descriptor?.digest ?? '', /^sha256:[0-9a-f]{64}$/);
  assert.ok(existsSync(dest));
  const output = events.flatMap(event => (event.kind === 'output' ? [Buffer.from(event.data)] : []));
  assert.equal(Buffer.concat(output).toString(), 'hsuh=,hsuh\na=x y=z\n');
  const shown = JSON.parse((await slipway.must(['inspect', 'app:2'])).stdout)[0];
  assert.equal(shown.Id, image.id);
  assert.equal(shown.Config.Labels.who, 'me');
});

test('buildImage fails with the code, the place and the last lines of a step', async () => {
  using slipway = program();
  const failing = library.buildImage(project(slipway, 'FROM busybox\nRUN echo sorry >&2; exit 7\n'));
  await assert.rejects(failing, (error: unknown) => {
    assert.ok(error instanceof library.BuildError);
    assert.equal(error.code, 'run');
    assert.deepEqual([error.facts.exitCode, error.facts.line], [7, 2]);
    assert.match(String(error.facts.file), /Dockerfile$/);
    assert.deepEqual(error.output, ['sorry']);
    return true;
  });
});

test('buildImage fails with all findings of a Dockerfile, and with wrong flags', async () => {
  using slipway = program();
  const wrong = project(slipway, 'FROM scratch\nFOO x\nCOPY\n');
  await assert.rejects(library.buildImage(wrong), (error: unknown) => {
    assert.ok(error instanceof library.BuildError);
    assert.equal(error.code, 'dockerfile');
    assert.match(error.message, /FOO/);
    assert.deepEqual(
      error.diagnostics.map(({ message }) => /^\w+/.exec(message)?.[0]),
      ['COPY'],
    );
    return true;
  });
  await assert.rejects(library.buildImage({ ...wrong, flags: ['--no-such-flag'] }), /--no-such-flag/);
  await assert.rejects(library.buildImage({ ...wrong, network: 'wide' }), /wide/);
  await assert.rejects(library.buildImage({ ...wrong, outputs: ['type=tar,dest=-'] }), /needs a dest/);
});

test('buildImage stops when it is told to', async () => {
  using slipway = program();
  const stop = new AbortController();
  const building = library.buildImage({
    ...project(slipway, 'FROM busybox\nRUN echo begun; sleep 1000\n'),
    signal: stop.signal,
    onEvent: event => {
      if (event.kind === 'output') stop.abort();
    },
  });
  await assert.rejects(building, (error: unknown) => {
    assert.ok(error instanceof library.BuildError);
    assert.equal(error.code, 'interrupted');
    return true;
  });
});

test('buildImage reads a Dockerfile that the program made', async () => {
  using slipway = program();
  const image = await library.buildImage({
    context: '-',
    stdin: 'FROM scratch\nLABEL made=here\n',
    root: slipway.store,
    tags: ['made'],
  });
  const shown = JSON.parse((await slipway.must(['inspect', 'made'])).stdout)[0];
  assert.deepEqual([shown.Id, shown.Config.Labels.made], [image.id, 'here']);
});

test('--progress=rawjson writes nothing but JSON, whatever happens', async () => {
  using slipway = program();
  const dir = join(slipway.dir, 'x');
  mkdirSync(dir);
  const kinds = async (dockerfile: string, ...args: string[]) => {
    writeFileSync(join(dir, 'Dockerfile'), dockerfile);
    const { stderr } = await slipway.run(['build', '--progress=rawjson', ...args, dir]);
    return stderr
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line).kind);
  };
  assert.deepEqual(await kinds('FROM scratch\nlabel a=b\n', '--rm'), [
    'remark',
    'warning',
    'start',
    'end',
    'result',
  ]);
  assert.deepEqual(await kinds('FROM scratch\nCOPY x /\n'), ['error']);
  assert.deepEqual(await kinds('FROM scratch\n', '--cache-ttl=never'), ['error']);
});

test('buildImage and its steps end when the program that has called it is killed', async () => {
  using slipway = program();
  const marker = '577701';
  const { env, ...build } = project(slipway, `FROM busybox\nRUN sleep ${marker}\n`);
  const script = `
    import { buildImage } from ${JSON.stringify(pathToFileURL(join(repoRoot, 'dist/app/index.js')).href)};
    await buildImage(${JSON.stringify(build)});
  `;
  const argv = ['--input-type=module', '-e', script];
  const child = spawn(process.execPath, argv, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  while (processesWith(`sleep\0${marker}`).length === 0) {
    assert.equal(child.exitCode, null);
    await sleep(20);
  }
  child.kill('SIGKILL');
  await once(child, 'exit');
  await waitUntilGone(slipway.store);
  await waitUntilGone(marker);
});
