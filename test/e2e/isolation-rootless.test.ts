// What an ordinary user, and one whom nothing here can help, is told and left with.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Somebody, somebody } from '../support/as-user.ts';
import { baseImages } from '../support/base-registry.ts';
import { type Ended, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

/** Runs slipway as somebody, with a store in its home. */
function slipway(
  user: Somebody,
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const registries = join(user.home, 'registries.conf');
  if (!existsSync(registries)) copyFileSync(registry.registriesConf, registries);
  chmodSync(registries, 0o644);
  const store = join(user.home, 'store');
  const argv = [process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', store, ...args];
  return run(user.wrap(argv), {
    env: { CONTAINERS_REGISTRIES_CONF: registries, ...options.env },
    ...(options.input === undefined ? {} : { input: options.input }),
  });
}

function context(user: Somebody, dockerfile: string): string {
  const dir = join(user.home, 'context');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'Dockerfile'), dockerfile);
  return dir;
}

function cleaning(user: Somebody) {
  return { [Symbol.dispose]: () => rmSync(user.home, { recursive: true, force: true }) };
}

test('a user with subordinate ids runs steps as other users, and owns what is outside of them', async () => {
  using user = somebody('subordinate ids');
  using _ = cleaning(user);
  const dir = context(user, 'FROM busybox\nRUN mkdir -m 1777 /w\nUSER 65534\nRUN id -u > /w/id\n');
  const tar = join(user.home, 'x.tar');
  const ended = await slipway(user, ['build', '-o', `type=tar,dest=${tar}`, dir]);
  assert.equal(ended.status, 0, ended.stderr);
  const list = await run(['tar', '-tvf', tar, '--numeric-owner', 'w/id']);
  assert.match(list.stdout, /65534\/65534/);
  assert.equal(statSync(tar).uid, statSync(user.home).uid);
});

test('a store with files of subordinate ids can be saved from and pruned', async () => {
  using user = somebody('subordinate ids');
  using _ = cleaning(user);
  const dir = context(
    user,
    'FROM busybox\nRUN mkdir /d && echo x > /d/f && chmod 600 /d/f && chown -R 5:6 /d && chmod 700 /d\n',
  );
  const built = await slipway(user, ['build', '-t', 'private', dir]);
  assert.equal(built.status, 0, built.stderr);
  const saved = await slipway(user, ['save', '-o', join(user.home, 'saved.tar'), 'private']);
  assert.equal(saved.status, 0, saved.stderr);
  const removed = await slipway(user, ['rmi', 'private']);
  assert.equal(removed.status, 0, removed.stderr);
  const pruned = await slipway(user, ['prune', '--all', '--force']);
  assert.equal(pruned.status, 0, pruned.stderr);
  assert.deepEqual(readdirSync(join(user.home, 'store/trees')), []);
});

test('the Dockerfile can come from stdin, which the program that was started anew still reads', async () => {
  using user = somebody('subordinate ids');
  using _ = cleaning(user);
  const ended = await slipway(user, ['build', '-'], { input: 'FROM busybox\nRUN true\n' });
  assert.equal(ended.status, 0, ended.stderr);
});

test('a user with one id is warned, and told how to get more when a step needs another', async () => {
  using user = somebody('single id');
  using _ = cleaning(user);
  const fine = await slipway(user, ['build', '--progress=plain', context(user, 'FROM busybox\nRUN id -u\n')]);
  assert.equal(fine.status, 0, fine.stderr);
  assert.match(fine.stderr, /warning: .*no subordinate ids/i);
  const dir = context(user, 'FROM busybox\nUSER 65534\nRUN id\n');
  const ended = await slipway(user, ['build', dir]);
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /nothing can be run with user id 65534/);
  assert.match(ended.stderr, /usermod --add-subuids/);
});

test('where nothing can run a command, builds without RUN work, and RUN says what would help', async () => {
  using user = somebody('no namespaces');
  using _ = cleaning(user);
  const fine = await slipway(user, ['build', context(user, 'FROM busybox\nCOPY Dockerfile /\nWORKDIR /x\n')]);
  assert.equal(fine.status, 0, fine.stderr);
  const dir = context(user, 'FROM busybox\nRUN true\n');
  const ended = await slipway(user, ['build', '--isolation=namespace', dir]);
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /nothing on this machine can run a command with --isolation=namespace/);
  assert.match(ended.stderr, /for namespace: /);
});

test('where only proot works, a warning says what becomes of owners', async () => {
  using user = somebody('no namespaces');
  using _ = cleaning(user);
  const dir = context(user, 'FROM busybox\nRUN touch /f && chown 5:6 /f\n');
  for (const cached of [false, true]) {
    const ended = await slipway(user, ['build', dir]);
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stderr, /warning: proot only pretends .* that a step gives to others belong to root/);
    assert.match(ended.stderr, cached ? /1 of 1 steps cached/ : /0 of 1 steps cached/);
  }
  const none = await slipway(user, ['build', context(user, 'FROM busybox\nCOPY Dockerfile /\n')]);
  assert.doesNotMatch(none.stderr, /pretends/);
});

test('what proot only pretended is made again where another sandbox works, also from a cache elsewhere', async () => {
  using user = somebody('subordinate ids');
  using _ = cleaning(user);
  const dir = context(user, 'FROM busybox\nRUN mkdir -m 777 /w\nUSER 5:6\nRUN touch /w/f\n');
  const tar = join(user.home, 'x.tar');
  const cache = join(user.home, 'cache');
  const build = async (...flags: string[]) => {
    const ended = await slipway(user, ['build', '--explain', '--progress=plain', ...flags, dir]);
    assert.equal(ended.status, 0, ended.stderr);
    return ended.stderr;
  };
  const owner = async () => (await run(['tar', '-tvf', tar, '--numeric-owner', 'w/f'])).stdout.split(' ')[1];
  const to = ['-o', `type=tar,dest=${tar}`];
  const pretend = ['--isolation=proot', ...to];
  await build(...pretend, '--cache-to', `type=local,dest=${cache}`);
  assert.equal(await owner(), '0/0');
  assert.match(await build(...pretend), /2 of 2 steps cached/);
  assert.match(await build(...to), /executed: its earlier result is of proot/);
  assert.equal(await owner(), '5/6');
  rmSync(join(user.home, 'store'), { recursive: true });
  const from = ['--cache-from', `type=local,src=${cache}`];
  assert.match(await build(...pretend, ...from), /2 of 2 steps cached/);
  rmSync(join(user.home, 'store'), { recursive: true });
  assert.match(await build(...to, ...from), /0 of 2 steps cached/);
  assert.equal(await owner(), '5/6');
});

test('a sandbox that was asked for and does not work is an error also when every step is cached', async () => {
  using user = somebody('no namespaces');
  using _ = cleaning(user);
  const dir = context(user, 'FROM busybox\nRUN true\n');
  assert.equal((await slipway(user, ['build', dir])).status, 0);
  const ended = await slipway(user, ['build', '--isolation=namespace', dir]);
  assert.equal(ended.status, 1);
  assert.match(
    ended.stderr,
    /nothing on this machine can run a command with --isolation=namespace\n {2}Dockerfile:2/,
  );
});

const withPackage = `FROM debian
RUN mkdir -p /p/DEBIAN /p/var/lib/svc && chmod 755 /p /p/DEBIAN \\
 && printf 'Package: svc\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.test>\\nDescription: x\\n' > /p/DEBIAN/control \\
 && printf '#!/bin/sh\\nset -e\\nuseradd --system --uid 777 --home /var/lib/svc svc\\nchown svc:svc /var/lib/svc\\n' > /p/DEBIAN/postinst \\
 && chmod 755 /p/DEBIAN/postinst && dpkg-deb --build /p /svc.deb
RUN apt-get install -y /svc.deb
`;

for (const who of ['subordinate ids', 'container'] as const) {
  test(`apt-get installs a package whose script makes a service user, for somebody with ${who}`, async () => {
    using user = somebody(who);
    using _ = cleaning(user);
    const tar = join(user.home, 'x.tar');
    const ended = await slipway(user, ['build', '-o', `type=tar,dest=${tar}`, context(user, withPackage)]);
    assert.equal(ended.status, 0, ended.stderr);
    const list = await run(['tar', '-tvf', tar, '--numeric-owner', 'var/lib/svc/', 'etc/shadow']);
    assert.match(list.stdout, /777\/777 .* var\/lib\/svc\//);
    assert.match(list.stdout, /0\/42 .* etc\/shadow/);
  });
}

for (const who of ['subordinate ids', 'single id'] as const) {
  test(`cache mounts of a user with ${who} travel to another store`, async () => {
    using user = somebody(who);
    using _ = cleaning(user);
    const kept = join(user.home, 'kept');
    const owner = who === 'subordinate ids' ? '5:6' : '0:0';
    const text = `FROM busybox
RUN --mount=type=cache,id=c,target=/c [ -e /c/f ] || { echo kept > /c/f; mkdir -m 700 /c/d; chown ${owner} /c/f; }; stat -c '%a %u:%g' /c/f /c/d
`;
    for (const store of ['one', 'two']) {
      const place = [
        '--cache-mount-from',
        `type=local,src=${kept}`,
        '--cache-mount-to',
        `type=local,dest=${kept}`,
      ];
      const build = ['--root', join(user.home, `store-${store}`), 'build', '--progress=plain', ...place];
      const ended = await slipway(user, [...build, context(user, text)]);
      assert.equal(ended.status, 0, ended.stderr);
      const printed = [...ended.stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map(match => match[1]);
      assert.deepEqual(printed, [`644 ${owner}`, '700 0:0']);
      assert.equal(/importing cache mount c/.test(ended.stderr), store === 'two');
      assert.equal(/c: unchanged/.test(ended.stderr), store === 'two', ended.stderr);
    }
  });
}
