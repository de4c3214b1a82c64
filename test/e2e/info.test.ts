// slipway info: what it says of this machine is what a build finds.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { somebody } from '../support/as-user.ts';
import { baseImages } from '../support/base-registry.ts';
import { run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';
import { withoutProgram } from '../support/without-program.ts';

const registry = baseImages();

interface Report {
  readonly rung: string;
  readonly description: string;
  readonly works: boolean;
  readonly reason?: string;
}

type Slipway = (
  ...args: readonly string[]
) => Promise<{ status: number | null; stdout: string; stderr: string }>;

/** For each rung, what `info` says is compared with what a build that asks for it does. */
async function compare(slipway: Slipway, context: string): Promise<readonly Report[]> {
  const json = await slipway('info', '--json');
  assert.equal(json.status, 0, json.stderr);
  const sandboxes = JSON.parse(json.stdout).sandboxes as readonly Report[];
  assert.deepEqual([...new Set(sandboxes.map(({ rung }) => rung))], ['oci', 'namespace', 'chroot', 'proot']);
  for (const rung of new Set(sandboxes.map(each => each.rung))) {
    const reports = sandboxes.filter(each => each.rung === rung);
    const built = await slipway('build', '--progress=plain', '--no-cache', `--isolation=${rung}`, context);
    assert.equal(
      built.status === 0,
      reports.some(({ works }) => works),
      `${rung}: ${built.stderr}`,
    );
    for (const { works, reason } of reports) {
      assert.equal(reason === undefined, works);
      if (built.status !== 0)
        assert.ok(unnamed(built.stderr).includes(unnamed(reason)), `${reason} in ${built.stderr}`);
    }
  }
  const text = unnamed((await slipway('info')).stdout);
  const taken = sandboxes.find(({ works }) => works);
  assert.ok(text.includes(`sandbox    ${taken?.description} (taken)\n`), text);
  for (const { works, description, reason } of sandboxes) {
    if (!works) assert.ok(text.includes(unnamed(`sandbox    ${description}: not here, ${reason}\n`)), text);
  }
  return sandboxes;
}

/** Cgroups and directories of a trial have other names each time. */
const unnamed = (text = '') => text.replace(/slipway-[\w-]+/g, 'slipway-x');
const dockerfile = 'FROM busybox\nRUN true\n';

test('root is told which sandboxes work, and a build that asks for one finds the same', async () => {
  using slipway = registry.slipway();
  const context = join(slipway.dir, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  const sandboxes = await compare((...args) => slipway.run(args), context);
  assert.equal(sandboxes.find(({ works }) => works)?.rung, 'oci');
});

test('root is told that crun is taken where runc is not installed, and a build takes it', async () => {
  using slipway = registry.slipway();
  const context = join(slipway.dir, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  const argv = [process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', slipway.store];
  const env = { CONTAINERS_REGISTRIES_CONF: registry.registriesConf };
  const sandboxes = await compare(
    (...args) => run(withoutProgram('runc', [...argv, ...args]), { env }),
    context,
  );
  assert.match(sandboxes.find(({ works }) => works)?.description ?? '', /^crun \d/);
  assert.equal(sandboxes.find(({ description }) => description === 'runc')?.reason, 'runc is not installed');
});

for (const [who, taken] of [
  ['subordinate ids', 'namespace'],
  ['no namespaces', 'proot'],
  ['container', 'chroot'],
  ['docker container', 'chroot'],
  ['docker container, user', 'proot'],
] as const) {
  test(`somebody with ${who} is told that ${taken} is taken and why nothing stronger is`, async () => {
    using user = somebody(who);
    using _ = { [Symbol.dispose]: () => rmSync(user.home, { recursive: true, force: true }) };
    const registries = join(user.home, 'registries.conf');
    copyFileSync(registry.registriesConf, registries);
    chmodSync(registries, 0o644);
    const context = join(user.home, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), dockerfile);
    const slipway: Slipway = (...args) =>
      run(
        user.wrap([
          process.execPath,
          join(repoRoot, 'bin/slipway.js'),
          '--root',
          join(user.home, 'store'),
          ...args,
        ]),
        { env: { CONTAINERS_REGISTRIES_CONF: registries } },
      );
    const sandboxes = await compare(slipway, context);
    assert.equal(sandboxes.find(({ works }) => works)?.rung, taken);
  });
}
