// Attacks on what runs steps, by the numbers of the catalogue, in every rung: mount targets and working directories that
// are swapped or lead outside, the runtime itself. The rest of the rows that the contract keeps is listed in
// contracts/sandbox.ts; those that need a Dockerfile are in e2e/attacks.test.ts.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { findProgram } from '../../src/host/probe.ts';
import { chrootSandbox } from '../../src/sandbox/chroot.ts';
import { namespaceSandbox } from '../../src/sandbox/namespaces.ts';
import { ociSandbox } from '../../src/sandbox/oci-runtime.ts';
import { prepareRun } from '../../src/sandbox/prepare.ts';
import { prootSandbox } from '../../src/sandbox/proot.ts';
import type { Sandbox, SandboxMount, SandboxRequest } from '../../src/sandbox/sandbox.ts';
import { type Bench, bench } from '../contracts/sandbox.ts';
import { tempDir } from '../support/rootfs.ts';
import { showTree } from '../support/show-tree.ts';
import { startSwapper } from '../support/swapper.ts';

function installed(name: string): string {
  const program = findProgram(name, process.env.PATH);
  if (program === undefined) throw new Error(`${name} is not installed`);
  return program;
}

const runc = (program = installed('runc')) =>
  ociSandbox({ program, name: 'runc', version: '', seccomp: true });

const rungs: Readonly<Record<string, Sandbox>> = {
  oci: runc(),
  namespace: namespaceSandbox(),
  chroot: chrootSandbox(),
  proot: prootSandbox({ program: installed('proot'), version: '' }),
};

/** Other tests mount things, too. */
const mountsOf = (b: Bench) =>
  readFileSync('/proc/thread-self/mountinfo', 'utf8')
    .split('\n')
    .filter(line => line.includes(dirname(b.outside)));

/** Runs as often as said; a race that is lost may be an error, but a known one with its reason. */
async function again(times: number, run: (round: number) => Promise<unknown>): Promise<void> {
  for (let round = 0; round < times; round++) {
    try {
      await run(round);
    } catch (error) {
      assert.ok(error instanceof BuildError && error.code !== 'internal', String(error));
    }
  }
}

/** Somebody swaps `sub` in a directory that steps share for a link out of it. @returns the directory */
async function withSwapped(b: Bench, target: string, work: (shared: string) => Promise<void>): Promise<void> {
  const shared = join(b.outside, 'shared');
  mkdirSync(join(shared, 'sub'), { recursive: true });
  symlinkSync(target, join(shared, 'evil'));
  const stop = await startSwapper(join(shared, 'sub'), join(shared, 'evil'));
  let swaps = 0;
  try {
    await work(shared);
  } finally {
    swaps = await stop();
  }
  assert.ok(swaps > 0, 'nothing was swapped');
}

/** A directory that nobody may touch, with names that an attack would remove or cover. */
function makeCanary(b: Bench): string {
  const canary = join(b.outside, 'canary');
  for (const name of ['deep', 'empty']) mkdirSync(join(canary, name), { recursive: true });
  for (const name of ['ptmx', 'null', 'hosts', 'file']) writeFileSync(join(canary, name), '');
  writeFileSync(join(canary, 'host-listing'), 'canary');
  return canary;
}

for (const [rung, sandbox] of Object.entries(rungs)) {
  const attack = (name: string, body: (b: Bench, canary: string) => Promise<void>) =>
    test(name, async () => {
      using b = bench(sandbox);
      const canary = makeCanary(b);
      const before = showTree(canary);
      await b.run('true'); // from here on, nothing is mounted but for steps
      const mounts = mountsOf(b);
      await body(b, canary);
      assert.deepEqual(showTree(canary), before, 'the canary was touched');
      assert.deepEqual(mountsOf(b), mounts, 'a mount was left');
    });

  describe(`attacks on ${rung}`, () => {
    workingDirectories(attack);
    devices(attack);
    swappedTargets(attack, rung);
    swappedSources(attack);
  });
}

type Attack = (name: string, body: (b: Bench, canary: string) => Promise<void>) => void;

function workingDirectories(attack: Attack): void {
  attack('RT-01: no descriptor is a working directory, by its number or behind a link', async b => {
    for (let fd = 3; fd <= 64; fd++) {
      symlinkSync(`/proc/self/fd/${fd}`, join(b.rootfs, `wd${fd}`));
      for (const cwd of fd === 7 ? [`/proc/self/fd/${fd}`, `/wd${fd}`, `/wd${fd}/../../..`] : [`/wd${fd}`]) {
        await b.refused('hostile', /working directory .* is in \/proc or \/sys/, 'ls ../../..', { cwd });
      }
    }
  });

  attack('RT-01: a link to a directory outside is one inside', async (b, canary) => {
    symlinkSync(canary, join(b.rootfs, 'out'));
    symlinkSync('../'.repeat(30) + canary.slice(1), join(b.rootfs, 'up'));
    for (const cwd of ['/out', '/up']) {
      const { stdout } = await b.run('ls; touch made; pwd -P', { cwd });
      assert.ok(!stdout.includes('host-listing'), stdout);
      assert.ok(readdirSync(join(b.rootfs, canary)).includes('made'));
    }
  });
}

function devices(attack: Attack): void {
  for (const kind of ['absolute', 'relative'] as const) {
    attack(
      `RT-04, RT-05, RT-24: devices of the image that are ${kind} links lead nowhere`,
      async (b, canary) => {
        mkdirSync(join(b.rootfs, 'dev'));
        const target = (name: string) =>
          kind === 'absolute' ? join(canary, name) : '../'.repeat(30) + join(canary, name).slice(1);
        for (const name of ['null', 'console', 'ptmx', 'fd']) {
          symlinkSync(target('file'), join(b.rootfs, 'dev', name));
        }
        for (const name of ['pts', 'shm', 'mqueue']) symlinkSync(target('deep'), join(b.rootfs, 'dev', name));
        symlinkSync(target('file'), join(b.rootfs, '.krun_config.json'));
        await b.run('echo x > /dev/null; touch /dev/shm/x /dev/pts/x; echo x > /dev/console; true');
      },
    );
  }
}

function swappedTargets(attack: Attack, rung: string): void {
  // In chroot, nobody else has what can be written meanwhile: it is moved into the root.
  if (rung === 'chroot') return;
  attack(
    'RT-04: masks and devices stay while a shared directory below /dev is swapped',
    async (b, canary) => {
      await withSwapped(b, canary, async shared => {
        const mounts = [
          { kind: 'bind', source: shared, target: '/dev/shared', readonly: false },
          { kind: 'tmpfs', target: '/dev/shared/sub/null', readonly: false },
        ] as const satisfies readonly SandboxMount[];
        await again(12, async () => {
          const { stdout } = await b.run(
            'wc -c < /proc/keys 2>/dev/null; ls /dev/shared/sub /dev/shared/sub/',
            {
              mounts,
            },
          );
          assert.ok(!stdout.includes('host-listing'), stdout);
          // proot hides nothing of /proc (docs/isolation.md).
          if (rung !== 'proot') assert.match(stdout, /^0\n/);
        });
      });
    },
  );

  attack(
    'RT-06: nothing is mounted or made outside while the parent of a target is swapped',
    async (b, canary) => {
      await withSwapped(b, canary, async shared => {
        const file = join(b.outside, 'lent');
        writeFileSync(file, 'lent');
        const mounts = [
          { kind: 'bind', source: shared, target: '/c', readonly: false },
          { kind: 'tmpfs', target: '/c/sub/deep', readonly: false },
          { kind: 'tmpfs', target: '/c/sub/new', readonly: false },
          { kind: 'bind', source: file, target: '/c/sub/stray', readonly: true, isFile: true },
        ] as const satisfies readonly SandboxMount[];
        await again(20, async round => {
          await b.run(`touch /c/sub/deep/x${round}; rm -rf /c/sub/new/*`, { mounts });
        });
        assert.deepEqual(readdirSync(canary).includes('stray'), false);
      });
    },
  );
}

function swappedSources(attack: Attack): void {
  attack(
    'RT-07: a source that is swapped for a link after it was chosen is never followed',
    async (b, canary) => {
      await withSwapped(b, canary, async shared => {
        const source = join(shared, 'sub');
        const mounts = [{ kind: 'bind', source, target: '/m', readonly: true }] as const;
        await again(15, async () => {
          const { stdout } = await b.run('ls /m', { mounts });
          assert.ok(!stdout.includes('host-listing'), stdout);
        });
      });
    },
  );
}

test('RT-07: two thousand times, what is mounted is what was opened', async () => {
  using b = bench(namespaceSandbox());
  const canary = makeCanary(b);
  await withSwapped(b, canary, async shared => {
    const request: SandboxRequest = {
      ...{ rootfs: b.rootfs, argv: ['true'], env: [], cwd: '/', uid: 0, gid: 0, groups: [] },
      ...{ hostname: 'x', network: 'none', security: 'sandbox', extraHosts: [], onOutput: () => {} },
      mounts: [{ kind: 'bind', source: join(shared, 'sub'), target: '/m', readonly: true }],
      signal: new AbortController().signal,
    };
    let held = 0;
    await again(2000, async () => {
      const prepared = prepareRun(request);
      try {
        const mount = prepared.mounts.find(({ target }) => target === '/m');
        assert.deepEqual(readdirSync(mount?.source ?? ''), []);
        held++;
      } finally {
        prepared.remove();
      }
    });
    assert.ok(held > 0, 'the directory itself was never met');
  });
});

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Tries to write to every program that it can see running, its own interpreter first. */
const overwrite = `for i in 1 2 3 4 5 6 7 8 9 10; do for p in /proc/self /proc/[0-9]*; do
  exec 7<$p/exe && (echo evil > /proc/self/fd/7) ; (echo evil >> $p/exe); done; sleep 0.02; done 2>/dev/null; true`;

for (const rung of ['oci', 'namespace', 'chroot']) {
  test(`RT-02: a step does not get at the programs that started it, in ${rung}`, async () => {
    using programs = tempDir();
    // A copy: should it be overwritten, the machine's own is not.
    const copy = join(programs.path, 'runc');
    copyFileSync(installed('runc'), copy);
    chmodSync(copy, 0o755);
    const watched = [copy, process.execPath];
    const before = watched.map(sha256);
    using b = bench(rung === 'oci' ? runc(copy) : (rungs[rung] ?? namespaceSandbox()));
    await b.run(overwrite);
    writeFileSync(join(b.rootfs, 'bin/evil'), '#!/proc/self/exe\n', { mode: 0o755 });
    await again(3, () => b.run('', { argv: ['/bin/evil'] }));
    assert.deepEqual(watched.map(sha256), before);
  });
}

test('RT-12: a cache that a step in chroot replaces by a link is not taken back', async () => {
  using b = bench(chrootSandbox());
  const canary = makeCanary(b);
  const before = showTree(canary);
  const source = join(b.outside, 'cache');
  mkdirSync(source);
  const mounts = [{ kind: 'bind', source, target: '/c', readonly: false }] as const;
  await b.refused('run', /has moved a directory that it was lent/, `mv /c /x; ln -s ${canary} /c`, {
    mounts,
  });
  assert.deepEqual(readdirSync(b.outside), ['canary']);
  assert.deepEqual(showTree(canary), before);
});
