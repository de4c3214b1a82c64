// Attacks that a Dockerfile makes, by the numbers of the catalogue, in every rung and for every kind of user: mounts and
// their sources, names of caches, volumes, secrets. What needs no Dockerfile is in hostile/run-attacks.test.ts.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import { type Somebody, somebody, type Who } from '../support/as-user.ts';
import { baseImages } from '../support/base-registry.ts';
import { writeContext } from '../support/images.ts';
import { makeTar } from '../support/make-tar.ts';
import { type Ended, must, type Program, program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';
import { showTree } from '../support/show-tree.ts';
import { served } from '../support/web-server.ts';

const registry = baseImages();

/** Who builds where; outside of the context and the store there is a canary. */
interface Place {
  readonly dir: string;
  readonly canary: string;
  readonly context: string;
  readonly flags: readonly string[];
  wrap(argv: readonly string[]): readonly string[];
}

function placeIn(dir: string, isolation: string, wrap: Somebody['wrap'] = argv => argv): Place {
  const canary = join(dir, 'canary');
  const context = join(dir, 'context');
  for (const path of [canary, join(canary, 'deep'), context, join(context, 'data')]) mkdirSync(path);
  writeFileSync(join(canary, 'host-listing'), 'canary');
  writeFileSync(join(context, 'data/file'), 'as it was');
  const registries = join(dir, 'registries.conf');
  copyFileSync(registry.registriesConf, registries);
  chmodSync(registries, 0o644);
  const flags = [`--isolation=${isolation}`];
  return { dir, canary, context, flags, wrap };
}

/** @returns what the commands of RUN printed */
async function build(place: Place, dockerfile: string, flags: readonly string[] = []): Promise<Ended> {
  writeFileSync(join(place.context, 'Dockerfile'), dockerfile);
  const argv = [
    ...[process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', join(place.dir, 'store')],
    ...['build', '--progress=plain', ...place.flags, ...flags, place.context],
  ];
  return run(place.wrap(argv), {
    env: {
      CONTAINERS_REGISTRIES_CONF: join(place.dir, 'registries.conf'),
      SLIPWAY_CANARY: 'canary-of-the-builder',
    },
  });
}

const printed = ({ stderr }: Ended) =>
  [...stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map(match => match[1] ?? '');

/** All of it in one build: each step shows what it sees, and marks it for the comparison. */
const attacks = ({ canary }: Place) => `FROM busybox AS evil
ARG OTHER
RUN ln -s / /root-link && ln -s ${canary} /abs && ln -s ../../../../../../..${canary} /rel && mkdir /real
RUN touch /real/RT-10
VOLUME /proc /../../escape ["/sys"]

FROM busybox
VOLUME /proc
RUN echo RT-03; test -d /proc && test ! -e /escape && echo RT-03 ok
RUN --mount=type=bind,from=evil,source=/root-link,target=/h,rw touch /h/x && ls -d /h/real && echo RT-10 ok
RUN --mount=type=bind,from=evil,source=/real,target=/h ls /h
RUN --mount=type=cache,id=../../../../../../../..${canary},target=/c touch /c/RT-12; ls /c
RUN --mount=type=cache,id=/,target=/c ls -A /c; touch /c/y; echo RT-12 ok
RUN --mount=type=cache,id=c,source=../..${canary},target=/m ls -A /m; echo RT-07 ok
RUN --mount=type=cache,target=/m,from=evil,source=/real,id=seed ls /m
RUN --mount=type=bind,rw,target=/s touch /s/leak && echo x > /s/data/file && rm -r /s/Dockerfile && echo RT-13 ok
RUN cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep canary-of-the-builde[r]; echo RT-14 ok
RUN find /sys/fs/cgroup -type f -writable 2>/dev/null | head -3 | while read f; do (echo 1 > $f) 2>/dev/null && echo wrote $f; done; echo RT-15 ok
RUN env | grep -i canary; ls /run/secrets 2>/dev/null; echo RT-20 ok
`;

const expected = [
  'RT-03',
  'RT-03 ok',
  '/h/real',
  'RT-10 ok',
  'RT-10',
  'RT-12',
  'RT-12 ok',
  'RT-07 ok',
  'RT-10',
  'RT-13 ok',
  'RT-14 ok',
  'RT-15 ok',
  'RT-20 ok',
];

async function survive(place: Place): Promise<void> {
  const trees = () => [showTree(place.canary), showTree(join(place.context, 'data'))];
  const before = trees();
  const ended = await build(place, attacks(place), ['--build-arg', 'OTHER=canary-argument']);
  assert.equal(ended.status, 0, ended.stderr);
  const lines = printed(ended).filter(line => line.trim() !== '');
  assert.deepEqual(lines.sort(), [...expected].sort(), ended.stderr);
  assert.deepEqual(trees(), before, 'a file of the machine was changed');
  assert.ok(!existsSync(join(place.context, 'leak')));
  // Every cache has a name that its id did not choose.
  for (const name of readdirSync(join(place.dir, 'store/mounts'))) assert.match(name, /^[0-9a-f]{64}$/);

  for (const source of ['/abs', '/rel']) {
    const text = `FROM busybox AS evil\nRUN ln -s ${place.canary} /abs && ln -s ../../../../../../..${place.canary} /rel\nFROM busybox\nRUN --mount=type=bind,from=evil,source=${source},target=/h ls /h\n`;
    const outside = await build(place, text);
    assert.equal(outside.status, 1, `RT-10: ${source}`);
    assert.match(outside.stderr, /the source of a mount does not exist/);
    assert.doesNotMatch(outside.stderr, /host-listing/);
  }
  assert.deepEqual(trees(), before, 'a file of the machine was changed');
}

/** Puts links in the place of a directory in a cache, many times, and leaves one there. */
const swapping = ({ canary }: Place) => `FROM busybox
RUN --mount=type=cache,id=swapped,target=/c <<EOF
  cd /c; rm -rf *; mkdir sub; ln -s ${canary} evil; ln -s ${'../'.repeat(20)}${canary.slice(1)} up
  for i in $(seq 1 80); do
    for link in evil up; do mv sub real; mv $link sub; sleep 0.01; mv sub $link; mv real sub; sleep 0.01; done
  done 2>/dev/null
  mv sub real; mv evil sub
EOF
`;

/** Has something mounted in that directory. The canary has one of these names. */
function mounting(cache: string): string {
  const at = (name: string) => `target=${cache}/sub/${name}`;
  const mounts = [
    `type=cache,id=swapped,target=${cache}`,
    ...[`type=bind,source=data/file,${at('stray')}`, `type=tmpfs,${at('new')}`, `type=tmpfs,${at('deep')}`],
  ];
  const flags = mounts.map(mount => `--mount=${mount}`).join(' ');
  return `FROM busybox\nRUN ${flags} ls ${cache}/sub/; touch ${cache}/sub/deep/x; echo x > /dev/null; echo x > ${cache}/sub/null; rm -rf ${cache}/sub/deep/* ${cache}/sub/new; echo well\n`;
}

/** Other tests mount things, too. */
const mountsOf = (dir: string) =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(line => line.includes(dir));

/** In chroot the steps take turns: the last one finds the link that was left. */
async function surviveSwapping(place: Place): Promise<void> {
  writeFileSync(join(place.canary, 'null'), '');
  const look = () => [...showTree(place.canary), ...mountsOf(place.dir)];
  const before = look();
  const context = join(place.dir, 'other');
  mkdirSync(context);
  chmodSync(context, 0o755);
  let isSwapping = true;
  const swap = build({ ...place, context }, swapping(place)).finally(() => {
    isSwapping = false;
  });
  const tryBoth = async () => {
    for (const cache of ['/c', '/dev/c']) {
      const { status, stderr } = await build(place, mounting(cache), ['--no-cache']);
      assert.doesNotMatch(stderr, /^#\d+ .*host-listing/m);
      // What is met in the middle of a swap may be refused.
      if (status !== 0) assert.match(stderr, /changed by another step meanwhile|around it leads to/);
    }
  };
  for (let round = 0; isSwapping && round < 15; round++) await tryBoth();
  const swapped = await swap;
  assert.equal(swapped.status, 0, swapped.stderr);
  await tryBoth();
  assert.deepEqual(look(), before, 'a file of the machine was changed, or a mount was left');
}

for (const isolation of ['oci', 'namespace', 'chroot', 'proot']) {
  test(`RT-03, 07, 10, 12 to 15, 20: as root with --isolation=${isolation}`, async () => {
    using slipway = program();
    await survive(placeIn(slipway.dir, isolation));
  });

  test(`RT-04, RT-06: a step swaps the places of another one’s mounts, with --isolation=${isolation}`, async () => {
    using slipway = program();
    await surviveSwapping(placeIn(slipway.dir, isolation));
  });
}

for (const [who, isolation] of [
  ['subordinate ids', 'namespace'],
  ['single id', 'namespace'],
  ['no namespaces', 'proot'],
  ['container', 'chroot'],
] as const satisfies readonly (readonly [Who, string])[]) {
  test(`RT-03, 04, 06, 07, 10, 12 to 15, 20: as a user with ${who}`, async () => {
    using user = somebody(who);
    try {
      const place = placeIn(user.home, isolation, user.wrap);
      for (const path of [place.context, join(place.context, 'data')]) chmodSync(path, 0o755);
      await survive(place);
      await surviveSwapping(place);
    } finally {
      rmSync(user.home, { recursive: true, force: true });
    }
  });
}

test('the environment of an image reaches no program of the machine, in proot', async () => {
  using slipway = atHome();
  // The machine's loader would obey both, before proot itself begins.
  const Dockerfile = 'FROM busybox\nENV LD_DEBUG=libs LD_PRELOAD=/tmp/not-there.so\nRUN echo $LD_PRELOAD\n';
  const dir = writeContext(slipway, { Dockerfile });
  const ended = await slipway.must(['build', '--progress=plain', '--isolation=proot', dir]);
  assert.deepEqual(printed(ended), ['/tmp/not-there.so']);
});

test('RT-02: a step in proot does not get at the programs that started it, as a user without namespaces', async () => {
  using user = somebody('no namespaces');
  try {
    const place = placeIn(user.home, 'proot', user.wrap);
    const programs = [process.execPath, join(repoRoot, 'bin/slipway.js'), realpathSync('/usr/bin/proot')];
    const before = programs.map(file => digestOf(readFileSync(file)));
    // It may end itself by what it writes to its own shell.
    const overwrite = `for i in 1 2 3 4 5; do for p in /proc/[0-9]*; do
exec 7<$p/exe && (echo evil > /proc/self/fd/7); (echo evil >> $p/exe); done; sleep 0.02; done 2>/dev/null`;
    for (const command of [overwrite, "printf '#!/proc/self/exe\\n' > /evil; chmod 755 /evil; /evil"]) {
      const ended = await build(place, `FROM busybox\nRUN <<EOF\necho tries\n${command}\nEOF\n`);
      assert.deepEqual(printed(ended).slice(0, 1), ['tries'], ended.stderr);
    }
    assert.deepEqual(
      programs.map(file => digestOf(readFileSync(file))),
      before,
    );
  } finally {
    rmSync(user.home, { recursive: true, force: true });
  }
});

function atHome(): Program {
  return registry.slipway();
}

test('RT-09, RT-11: only what is known is taken in the flags of RUN, before anything is executed', async () => {
  using slipway = atHome();
  const flags = [
    '--security=Insecure',
    '--security=2',
    '--security=insecure',
    '--network=Host',
    '--network=private',
    '--network=x',
    '--mount=type=bind,bind-propagation=shared,target=/m',
    '--mount=type=bind,bind-propagation=rw,suid,dev,target=/m',
    '--mount=type=bind,suid,target=/m',
    '--mount=type=bind,target=/m,target',
    '--mount=type=cache,target=/m,sharing=Locked2',
    '--mount=type=nfs,target=/m',
    '--mount=type=tmpfs,target=/m,size=-1',
    '--mount=type=cache,target=/m,uid=-1',
    '--mount=type=bind,target=/',
    '--mount=type=bind,target=/m/..',
  ];
  for (const flag of flags) {
    const dir = writeContext(slipway, { Dockerfile: `FROM busybox\nRUN ${flag} echo ran\n` });
    const ended = await slipway.run(['build', '--progress=plain', dir]);
    assert.ok(ended.status === 1 || ended.status === 2, `${flag}: ${ended.status}`);
    assert.match(ended.stderr, /Dockerfile:2\n/, flag);
    assert.doesNotMatch(ended.stderr, /^#\d+ \d+\.\d+ ran|^ +at /m, flag);
  }
});

test('RT-11, RT-12: names of caches may be any text, of any length, and differ by case', async () => {
  using slipway = atHome();
  const ids = ['a b', 'A B', 'x'.repeat(300), 'semi;colon:and|pipe', '日本', '.', '..', '%2e%2e%2f', '-rf'];
  const steps = ids.map((id, i) => `RUN --mount=type=cache,"id=${id}",target=/c ls -A /c; touch /c/${i}`);
  const dir = writeContext(slipway, { Dockerfile: `FROM busybox\n${steps.join('\n')}\n` });
  const { stderr } = await slipway.must(['build', '--progress=plain', dir]);
  assert.doesNotMatch(stderr, /^#\d+ \d+\.\d+ \d/m, 'two of them are one');
  const names = readdirSync(join(slipway.store, 'mounts'));
  assert.equal(names.length, ids.length);
  for (const name of names) assert.match(name, /^[0-9a-f]{64}$/);
});

/** Files below these directories that hold the canary in plain, or what gzip would hide of it. */
async function traces(dirs: readonly string[]): Promise<string> {
  const script = `grep -rlaE 'canary-(file|word)-2517' "$@"
    find "$@" -type f \\( -name '*.gz' -o -path '*/blobs/*' \\) -exec sh -c 'gzip -dcf "$1" 2>/dev/null | grep -qaE "canary-(file|word)-2517" && echo "$1, unpacked"' sh {} \\;
    true`;
  return must(['sh', '-c', script, 'sh', ...dirs]);
}

for (const isolation of ['oci', 'namespace', 'chroot', 'proot']) {
  test(`RT-25: the value of a secret is nowhere but in its own step, with --isolation=${isolation}`, async () => {
    using slipway = atHome();
    const dir = (name: string) => {
      mkdirSync(join(slipway.dir, name));
      return join(slipway.dir, name);
    };
    const [temp, out, given] = [dir('temp'), dir('out'), dir('given')];
    const secret = join(given, 'secret');
    writeFileSync(secret, 'canary-file-2517');
    const context = writeContext(slipway, {
      Dockerfile: `FROM busybox AS done
RUN --mount=type=secret,id=f --mount=type=secret,id=w,env=WORD,target=/w \\
  cat /run/secrets/f && echo " $WORD" && cat /w && wc -c < /run/secrets/f > /length
RUN test ! -e /run/secrets && test ! -e /w && ! env | grep -i word
FROM done
RUN --mount=type=secret,id=f,target=/deep/er/f cat /deep/er/f >&2; sleep 0.1; cat /deep/er/f; exit 3
`,
    });
    const env = { WORD_VALUE: 'canary-word-2517', TMPDIR: temp };
    const args = [
      ...['--debug', 'build', `--isolation=${isolation}`, '--secret', `id=f,src=${secret}`],
      ...['--secret', 'id=w,env=WORD_VALUE', '--metadata-file', join(out, 'metadata'), context],
    ];
    const said: Ended[] = [];
    for (const progress of ['plain', 'rawjson']) {
      const output = ['-o', `type=oci,tar=false,dest=${join(out, progress)}`, '-t', 'kept'];
      said.push(
        await slipway.must([...args, '--no-cache', '--target=done', `--progress=${progress}`, ...output], {
          env,
        }),
      );
      said.push(await slipway.run([...args, `--progress=${progress}`, '--explain'], { env }));
    }
    assert.deepEqual(
      said.map(({ status }) => status),
      [0, 1, 0, 1],
    );
    assert.match(said[0]?.stderr ?? '', /\*{8}/, 'the step did print it');
    for (const command of [['logs'], ['cache', 'why'], ['history', 'kept'], ['inspect', 'kept']]) {
      said.push(await slipway.run(command));
    }
    for (const { stdout, stderr } of said) assert.doesNotMatch(stdout + stderr, /canary-(file|word)-2517/);
    assert.equal(await traces([slipway.store, out, temp, context, '/dev/shm']), '');
    assert.notEqual(await traces([given]), '', 'what is looked for would be found');
  });
}

test('RT-25: the password of a URL is in no heading, history, record or message', async () => {
  using slipway = atHome();
  const archive = makeTar([
    { name: 'Dockerfile', text: 'FROM scratch\nCOPY file /\n' },
    { name: 'file', text: 'x' },
  ]);
  const withPassword = `Basic ${btoa('user:canary-word-2517')}`;
  await served(
    ({ url, headers }, response) => {
      if (headers.authorization !== withPassword) response.statusCode = 401;
      response.end(url === '/context.tar' ? archive : 'x');
    },
    async origin => {
      const url = origin.replace('//', '//user:canary-word-2517@');
      const added = (flags: string) =>
        writeContext(slipway, { Dockerfile: `FROM scratch\nADD ${flags} ${url}/file /added\n` });
      const layout = join(slipway.dir, 'layout');
      const build = ['--debug', 'build', '--progress=plain', '-t', 'kept'];
      const said = [await slipway.must([...build, `${url}/context.tar`])];
      said.push(await slipway.must([...build, '-o', `type=oci,tar=false,dest=${layout}`, added('')]));
      said.push(await slipway.must([...build, added('')]));
      said.push(await slipway.run([...build, added(`--checksum=sha256:${'0'.repeat(64)}`)]));
      assert.match(said.at(-1)?.stderr ?? '', /does not have the checksum/);
      for (const command of [['logs'], ['cache', 'why'], ['history', '--no-trunc', 'kept']]) {
        said.push(await slipway.run(command));
      }
      assert.match(said.at(-1)?.stdout ?? '', /ADD http:..127/);
      for (const { stdout, stderr } of said) {
        // Except where the line of the Dockerfile is shown as it is written.
        const text = stdout + stderr.replaceAll(/^[> ]+\d+ \| .*$/gm, '');
        assert.doesNotMatch(text, /canary-word-2517/);
      }
      assert.equal(await traces([slipway.store, layout]), '');
    },
  );
});
