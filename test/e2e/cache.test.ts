// What is executed again and what is not, through the real command line. "Cached" means: it did not run.
import assert from 'node:assert/strict';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseImages } from '../support/base-registry.ts';
import { type Program, program } from '../support/program.ts';

const registry = baseImages();

/** The steps of a build by what became of them: text of the instruction -> CACHED or DONE. */
async function build(slipway: Program, dir: string, ...args: string[]): Promise<Map<string, string>> {
  const { stderr } = await slipway.must(['build', '--progress=plain', '-t', 'cached', ...args, dir], {
    env: { CONTAINERS_REGISTRIES_CONF: registry.registriesConf },
  });
  const names = new Map<string, string>();
  const outcomes = new Map<string, string>();
  for (const line of stderr.split('\n')) {
    const [, number = '', rest = ''] = /^#(\d+) (.*)$/.exec(line) ?? [];
    const step = /^\[(?:\S+ )?\d+\/\d+\] (.*)$/.exec(rest)?.[1];
    if (step) names.set(number, step);
    const outcome = /^(CACHED|DONE)/.exec(rest)?.[1];
    const name = names.get(number);
    if (outcome && name) outcomes.set(name, outcome);
  }
  return outcomes;
}

function project(slipway: Program): string {
  const dir = join(slipway.dir, 'project');
  mkdirSync(dir);
  writeFileSync(join(dir, 'package.json'), '{"name":"x"}');
  writeFileSync(join(dir, 'main.js'), 'one');
  writeFileSync(
    join(dir, 'Dockerfile'),
    `FROM busybox
WORKDIR /app
COPY package.json .
RUN date +%N > installed
COPY main.js .
ARG VERSION=1
RUN echo "$VERSION" > version
ENV LATER=yes
RUN date +%N > last
`,
  );
  return dir;
}

const states = (outcomes: Map<string, string>) => [...outcomes.values()].map(outcome => outcome[0]).join('');

test('a second build executes nothing', async () => {
  using slipway = program();
  const dir = project(slipway);
  assert.equal(states(await build(slipway, dir)), 'DDDDDD');
  assert.equal(states(await build(slipway, dir)), 'CCCCCC');
});

test('a changed file executes again from the COPY that reads it', async () => {
  using slipway = program();
  const dir = project(slipway);
  await build(slipway, dir);
  writeFileSync(join(dir, 'main.js'), 'two');
  assert.equal(states(await build(slipway, dir)), 'CCCDDD');
  writeFileSync(join(dir, 'main.js'), 'one');
  assert.equal(states(await build(slipway, dir)), 'CCCCCC', 'going back is going back');
});

test('a changed ARG executes again from the step that sees it', async () => {
  using slipway = program();
  const dir = project(slipway);
  await build(slipway, dir);
  assert.equal(states(await build(slipway, dir, '--build-arg', 'VERSION=2')), 'CCCCDD');
});

test('times of files do not count, modes do', async () => {
  using slipway = program();
  const dir = project(slipway);
  await build(slipway, dir);
  utimesSync(join(dir, 'main.js'), 1, 1);
  assert.equal(states(await build(slipway, dir)), 'CCCCCC');
  const { chmodSync } = await import('node:fs');
  chmodSync(join(dir, 'main.js'), 0o755);
  assert.equal(states(await build(slipway, dir)), 'CCCDDD');
});

test('content that changes without size and time is noticed', async () => {
  using slipway = program();
  const dir = project(slipway);
  utimesSync(join(dir, 'main.js'), 1_600_000_000, 1_600_000_000);
  await build(slipway, dir);
  writeFileSync(join(dir, 'main.js'), 'ONE');
  utimesSync(join(dir, 'main.js'), 1_600_000_000, 1_600_000_000);
  assert.equal(states(await build(slipway, dir)), 'CCCDDD');
});

test('--no-cache executes everything, and a stage that gives the same bytes leaves what follows cached', async () => {
  using slipway = program();
  const dir = join(slipway.dir, 'stages');
  mkdirSync(dir);
  writeFileSync(
    join(dir, 'Dockerfile'),
    'FROM busybox AS made\nRUN echo same > /out\nFROM busybox\nCOPY --from=made /out /out\nRUN date > /when\n',
  );
  assert.equal(states(await build(slipway, dir)), 'DDD');
  assert.equal(states(await build(slipway, dir, '--no-cache')), 'DDD');
  const again = await build(slipway, dir, '--no-cache-filter', 'made');
  assert.equal(again.get('RUN echo same > /out'), 'DONE');
  assert.equal(again.get('RUN date > /when'), 'CACHED');
  const last = await build(slipway, dir, '--no-cache-filter', 'stage-1');
  assert.equal(last.get('RUN echo same > /out'), 'CACHED');
  assert.equal(last.get('RUN date > /when'), 'DONE');
  const { stderr } = await slipway.must(['build', '--no-cache-filter=mad', dir]);
  assert.match(stderr, /warning: --no-cache-filter names no stage: "mad"\n {2}try: did you mean made\?/);
});

test('unused stages are not executed, and independent ones are all there', async () => {
  using slipway = program();
  const dir = join(slipway.dir, 'graph');
  mkdirSync(dir);
  writeFileSync(
    join(dir, 'Dockerfile'),
    'FROM busybox AS a\nRUN echo a > /a\nFROM busybox AS b\nRUN echo b > /b\nFROM busybox AS unused\nRUN exit 1\nFROM busybox\nCOPY --from=a /a /\nCOPY --from=b /b /\n',
  );
  const outcomes = await build(slipway, dir);
  assert.deepEqual([...outcomes.keys()].sort(), [
    'COPY --from=a /a /',
    'COPY --from=b /b /',
    'RUN echo a > /a',
    'RUN echo b > /b',
  ]);
});
