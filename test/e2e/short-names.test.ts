// Names without a host, as registries.conf explains them: aliases, and registries that are searched in order.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type RunningRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { writeContext } from '../support/images.ts';
import { type Program, program } from '../support/program.ts';

/** Builds `FROM scratch` with a label and sends it to these names. */
async function publish(label: string, ...names: string[]): Promise<void> {
  using maker = program();
  const dir = writeContext(maker, { Dockerfile: `FROM scratch\nCOPY a /\nLABEL is=${label}\n`, a: label });
  await maker.must(['build', '-q', '--push', ...names.flatMap(name => ['-t', name]), dir]);
}

function configured(first: RunningRegistry, second: RunningRegistry): Program {
  const other = program();
  const conf = join(other.dir, 'registries.conf');
  writeFileSync(
    conf,
    `unqualified-search-registries = ["${first.host}", "${second.host}"]
[aliases]
"tool" = "${second.host}/far/away"
`,
  );
  const env = { CONTAINERS_REGISTRIES_CONF: conf };
  return {
    ...other,
    run: (args, options) => other.run(args, { ...options, env: { ...env, ...options?.env } }),
    must: (args, options) => other.must(args, { ...options, env: { ...env, ...options?.env } }),
    [Symbol.dispose]: () => other[Symbol.dispose](),
  };
}

const isOf = async (slipway: Program, from: string, ...flags: string[]) => {
  const dir = writeContext(slipway, { Dockerfile: `FROM ${from}\nLABEL built=yes\n` });
  const id = (await slipway.must(['build', '-q', ...flags, dir])).stdout.trim();
  return (await slipway.must(['inspect', '-f', '{{.Config.Labels.is}}', id])).stdout.trim();
};

test('a short name is its alias, else what the first of the search registries has, for pull and FROM', async () => {
  await using first = await startDockerRegistry();
  await using second = await startDockerRegistry();
  await publish('both', `${first.host}/team/both:1`);
  await publish('late', `${second.host}/team/both:1`, `${second.host}/late`, `${second.host}/late:2`);
  await publish('alias', `${second.host}/far/away`);
  using slipway = configured(first, second);
  assert.equal(await isOf(slipway, 'tool'), 'alias');
  assert.equal(await isOf(slipway, 'team/both:1'), 'both');
  assert.equal(await isOf(slipway, 'late'), 'late');
  // What was found once is known without a registry, and --pull asks in the same order.
  assert.equal(await isOf(slipway, 'late', '--offline'), 'late');
  await publish('new', `${first.host}/late`);
  assert.equal(await isOf(slipway, 'late'), 'late');
  assert.equal(await isOf(slipway, 'late', '--pull'), 'new');

  const pull = async (...args: string[]) => (await slipway.must(['pull', '-q', ...args])).stdout.trim();
  assert.equal(await pull('tool'), `${second.host}/far/away:latest`);
  assert.equal(await pull('team/both:1'), `${first.host}/team/both:1`);
  assert.equal(await pull('late:2'), `${second.host}/late:2`);
  assert.equal(await pull('-a', 'far/away'), `${second.host}/far/away`);
  const missing = await slipway.run(['pull', 'nowhere']);
  assert.deepEqual([missing.status, missing.stdout], [1, '']);
  assert.match(missing.stderr, new RegExp(`error: ${second.host}/nowhere has no tag latest`));
});

test('an image that was built here comes before what registries have under its name', async () => {
  await using first = await startDockerRegistry();
  await using second = await startDockerRegistry();
  await publish('remote', `${first.host}/mine`);
  using slipway = configured(first, second);
  const dir = writeContext(slipway, { Dockerfile: 'FROM scratch\nCOPY a /\nLABEL is=own\n', a: '' });
  await slipway.must(['build', '-q', '-t', 'mine', dir]);
  assert.equal(await isOf(slipway, 'mine'), 'own');
  assert.equal(await isOf(slipway, `${first.host}/mine`), 'remote');
});

test('a search registry that cannot be reached is an error, not a reason to take the name elsewhere', async () => {
  await using second = await startDockerRegistry();
  const gone = await startDockerRegistry();
  await gone[Symbol.asyncDispose]();
  await publish('other', `${second.host}/app`);
  using slipway = configured(gone, second);
  const dir = writeContext(slipway, { Dockerfile: 'FROM app\n' });
  for (const args of [
    ['pull', '--retry=0', 'app'],
    ['build', '--retry=0', dir],
  ]) {
    const failed = await slipway.run(args);
    assert.equal(failed.status, 1);
    assert.match(failed.stderr, new RegExp(`error: .*${gone.host} cannot be reached`));
  }
});
