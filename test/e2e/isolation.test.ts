// The same Dockerfiles (test/corpus/isolation) make the same files in every sandbox and for every kind of user; what
// cannot be the same is listed here and in docs/isolation.md with the reason.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Somebody, somebody, type Who } from '../support/as-user.ts';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { must, program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';
import { withoutProgram } from '../support/without-program.ts';

const corpus = join(repoRoot, 'test/corpus/isolation');
const cases = readdirSync(corpus).sort();
let registry: BaseRegistry;
let expected: ReadonlyMap<string, string>;

before(async () => {
  registry = await startRegistry();
  using slipway = program();
  expected = await build(slipway.dir, [], cases);
});

after(() => registry?.stop());

/** All cases as stages of one Dockerfile; each is copied into a layer of its own. @returns diffId by case */
async function build(
  dir: string,
  flags: readonly string[],
  wanted: readonly string[],
  wrap: Somebody['wrap'] = argv => argv,
): Promise<ReadonlyMap<string, string>> {
  const context = join(dir, 'context');
  mkdirSync(context);
  const stages = wanted.map(name =>
    readFileSync(join(corpus, name, 'Dockerfile'), 'utf8').replace(
      'FROM busybox',
      `FROM busybox AS s-${name}`,
    ),
  );
  const copies = wanted.map(name => `COPY --from=s-${name} / /${name}/`);
  writeFileSync(join(context, 'Dockerfile'), [...stages, 'FROM scratch', ...copies, ''].join('\n'));
  const layout = join(dir, 'layout');
  // The other users cannot read where the registry keeps it.
  const registries = join(dir, 'registries.conf');
  copyFileSync(registry.registriesConf, registries);
  chmodSync(registries, 0o644);
  const argv = [
    ...[process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', join(dir, 'store')],
    ...['build', '--progress=plain', ...flags, '-o', `type=oci,tar=false,dest=${layout}`, context],
  ];
  await must(wrap(argv), {
    env: { CONTAINERS_REGISTRIES_CONF: registries, SOURCE_DATE_EPOCH: '1700000000' },
  });
  const blob = (digest: string) =>
    JSON.parse(readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8'));
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
  const { rootfs } = blob(blob(index.manifests[0].digest).config.digest);
  assert.equal(rootfs.diff_ids.length, wanted.length);
  return new Map(wanted.map((name, i) => [name, rootfs.diff_ids[i]]));
}

async function same(
  dir: string,
  flags: readonly string[],
  exceptions: readonly string[],
  wrap?: Somebody['wrap'],
): Promise<void> {
  for (const name of exceptions) assert.ok(cases.includes(name), name);
  assert.ok(cases.length - exceptions.length >= 40);
  const found = await build(
    dir,
    flags,
    cases.filter(name => !exceptions.includes(name)),
    wrap,
  );
  const differing = [...found].filter(([name, diffId]) => expected.get(name) !== diffId);
  assert.deepEqual(
    differing.map(([name]) => name),
    [],
  );
}

/** Without mounts, all names of a file that gets another one count as changed, and stay one file. */
const copies = ['hard-link'];
/** Nobody else than who runs slipway owns what the step makes. */
const noOtherUser = ['service-user', 'user', 'user-name'];
/** Owners that a step sets itself are not known. */
const noChown = ['owner', 'owner-of-link'];

for (const [isolation, exceptions] of [
  ['oci', []],
  ['namespace', []],
  ['chroot', copies],
  ['proot', [...copies, ...noOtherUser]],
] as const) {
  test(`as root, --isolation=${isolation} makes what the strongest sandbox makes`, async () => {
    using slipway = program();
    await same(slipway.dir, [`--isolation=${isolation}`], exceptions);
  });
}

test('as root, crun makes what the strongest sandbox makes', async () => {
  using slipway = program();
  await same(slipway.dir, ['--isolation=oci'], [], argv => withoutProgram('runc', argv));
});

for (const [who, exceptions] of [
  ['subordinate ids', []],
  ['single id', [...noChown, ...noOtherUser]],
  ['no namespaces', [...copies, ...noChown, ...noOtherUser]],
  ['container', copies],
  ['docker container', copies],
  ['docker container, user', [...copies, ...noChown, ...noOtherUser]],
] as const satisfies readonly (readonly [Who, readonly string[]])[]) {
  test(`a user with ${who} makes what root makes`, async () => {
    using user = somebody(who);
    try {
      await same(user.home, [], exceptions, user.wrap);
    } finally {
      // Files of subordinate ids are for the user's own root to remove.
      rmSync(user.home, { recursive: true, force: true });
    }
  });
}

for (const who of ['docker container', 'docker container, user'] as const) {
  test(`somebody in a ${who} can make neither user namespaces nor mounts, and has no CAP_SYS_ADMIN`, async () => {
    using user = somebody(who);
    const refused = [
      ['unshare', '--user', 'true'],
      ['unshare', '--user', '--map-root-user', '--mount', 'true'],
      ['unshare', '--mount', 'true'],
      ['mount', '-t', 'tmpfs', 'none', user.home],
    ];
    for (const argv of refused) assert.notEqual((await run(user.wrap(argv))).status, 0, argv.join(' '));
    const capabilities = await must(user.wrap(['grep', '^CapBnd', '/proc/self/status']));
    const bounding = BigInt(`0x${capabilities.trim().split(/\s+/)[1]}`);
    assert.equal(bounding & (1n << 21n), 0n);
    assert.notEqual(bounding, 0n);
  });
}
