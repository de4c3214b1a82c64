// What a command finds around it is the same in every sandbox and for every user, as far as that sandbox can give it.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Somebody, somebody, type Who } from '../support/as-user.ts';
import { baseImages } from '../support/base-registry.ts';
import { printedLines, writeContext } from '../support/images.ts';
import { program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

const facts = {
  user: 'id -u; id -g; id -un',
  groups: 'id -G | tr " " "\\n" | sort -n | tr "\\n" " "',
  home: 'echo $HOME; cd; pwd',
  path: 'echo $PATH',
  hostname: 'echo $HOSTNAME',
  'own host name': 'hostname',
  umask: 'umask',
  stdin: 'wc -c; test -t 0 || echo no terminal',
  'stdin as device': 'stat -L -c %t:%T /dev/stdin',
  pts: 'exec 3<>/dev/ptmx && ls /dev/pts | grep -v ptmx | head -1 | grep -c "^[0-9]"',
} as const;

type Fact = keyof typeof facts;

const expected: Readonly<Record<Fact, string>> = {
  user: '1500 1500 dev',
  groups: '50 60 1500',
  home: '/home/dev /home/dev',
  path: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  hostname: 'buildkitsandbox',
  'own host name': 'buildkitsandbox',
  umask: '0022',
  stdin: '0 no terminal',
  'stdin as device': '1:3',
  pts: '1',
};

/** A RUN of the user dev that prints each fact on a line. */
const dockerfile = (user: boolean) =>
  [
    'FROM busybox',
    'RUN mkdir -p /home/dev && chmod 777 /home/dev && echo dev:x:1500:1500::/home/dev:/bin/sh >> /etc/passwd && ' +
      'printf "dev:x:1500:\\none:x:50:dev\\nother:x:55:root\\ntwo:x:60:x,dev\\n" >> /etc/group',
    ...(user ? ['USER dev'] : []),
    `RUN ${Object.entries(facts)
      .map(([name, command]) => `echo "${name} =" $({ ${command}; } 2>&1)`)
      .join('; ')}`,
    '',
  ].join('\n');

/** @param missing facts that this sandbox cannot give (docs/isolation.md) */
async function check(
  dir: string,
  flags: readonly string[],
  missing: Partial<Record<Fact, string>>,
  wrap: Somebody['wrap'] = argv => argv,
  user = true,
): Promise<void> {
  const context = join(dir, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), dockerfile(user));
  const registries = join(dir, 'registries.conf');
  copyFileSync(registry.registriesConf, registries);
  chmodSync(registries, 0o644);
  const ended = await run(
    wrap([
      ...[process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', join(dir, 'store')],
      ...['build', '--progress=plain', ...flags, context],
    ]),
    { env: { CONTAINERS_REGISTRIES_CONF: registries }, input: 'not for steps' },
  );
  assert.equal(ended.status, 0, ended.stderr);
  const found = Object.fromEntries(
    ended.stderr.split('\n').flatMap(line => {
      const [, name, value] = /^#\d+ \d+\.\d+ ([a-z ]+) = ?(.*)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, value]];
    }),
  );
  assert.deepEqual(found, { ...expected, ...missing });
}

/** A single id can be root only. */
const root = { user: '0 0 root', groups: '0', home: '/root /root' };

test('an empty HOME is that of the user, in every sandbox', async () => {
  using slipway = registry.slipway();
  const dir = writeContext(slipway, {
    Dockerfile: 'FROM busybox\nENV HOME=\nUSER www-data\nRUN echo "home $HOME"\n',
  });
  for (const isolation of ['oci', 'namespace', 'chroot', 'proot']) {
    const flags = ['--no-cache', '--progress=plain', `--isolation=${isolation}`];
    const { stderr } = await slipway.must(['build', ...flags, dir]);
    assert.match(stderr, /^#\d+ [\d.]+ home \/var\/www$/m, isolation);
  }
});

for (const [isolation, missing] of [
  // runc puts a pipe between, which has ended.
  ['oci', { 'stdin as device': '0:0' }],
  ['namespace', {}],
  [
    'chroot',
    {
      'own host name': hostname(),
      'stdin as device': "stat: can't stat '/dev/stdin': No such file or directory",
      pts: "/bin/sh: can't create /dev/ptmx: Permission denied",
    },
  ],
  ['proot', { 'own host name': hostname(), groups: '1500' }],
] as const satisfies readonly (readonly [string, Partial<Record<Fact, string>>])[]) {
  test(`--isolation=${isolation} gives user, groups, home, PATH, host name, umask, stdin and terminals`, async () => {
    using slipway = program();
    await check(slipway.dir, [`--isolation=${isolation}`], missing);
  });
}

for (const [who, missing] of [
  ['subordinate ids', {}],
  ['single id', root],
  ['no namespaces', { ...root, 'own host name': hostname() }],
] as const satisfies readonly (readonly [Who, Partial<Record<Fact, string>>])[]) {
  test(`a user with ${who} gets the same`, async () => {
    using user = somebody(who);
    using _ = { [Symbol.dispose]: () => rmSync(user.home, { recursive: true, force: true }) };
    await check(user.home, [], missing, user.wrap, who === 'subordinate ids');
  });
}

test('in every sandbox programs see the files of the image, whichever call they ask with', async () => {
  using slipway = registry.slipway();
  // GNU ls and stat ask statx, test -r asks faccessat2.
  const command =
    'echo four > /etc/passwd; stat -c %s /etc/passwd; echo x > /only-here; ls /only-here; stat -c %s /only-here; ' +
    'test -r /only-here && test -w /only-here && echo mine; rm /usr/bin/dpkg; test -x /usr/bin/dpkg || echo gone';
  const dir = writeContext(slipway, { Dockerfile: `FROM debian\nRUN ${command}\n` });
  for (const isolation of ['oci', 'proot']) {
    const flags = ['--no-cache', '--progress=plain', `--isolation=${isolation}`];
    const { stderr } = await slipway.must(['build', ...flags, dir]);
    assert.deepEqual(printedLines(stderr), ['5', '/only-here', '2', 'mine', 'gone'], isolation);
  }
});
