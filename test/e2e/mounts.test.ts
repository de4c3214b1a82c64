// RUN --mount on real bases: what the command sees, what becomes of what it writes. docs/dockerfile.md names these
// tests row by row.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildImage, writeContext } from '../support/images.ts';
import { must } from '../support/program.ts';
import { withBases } from '../support/with-bases.ts';

const { slipway } = await withBases();

const busybox = (text: string, files: Record<string, string> = {}) =>
  writeContext(slipway, { Dockerfile: `FROM busybox\n${text}`, ...files });

/** What the commands of RUN printed. */
async function printed(dir: string, ...args: string[]): Promise<string[]> {
  const { stderr } = await slipway.must(['build', '--progress=plain', '--no-cache', ...args, dir]);
  return [...stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map(match => match[1] ?? '');
}

async function refused(dir: string, pattern: RegExp, ...args: string[]): Promise<void> {
  const ended = await slipway.run(['build', ...args, dir]);
  assert.notEqual(ended.status, 0);
  assert.match(ended.stderr, pattern);
  assert.match(ended.stderr, /Dockerfile:\d+\n/);
}

test('bind: the context, read-only; writes of rw are thrown away; targets are below WORKDIR', async () => {
  const dir = busybox(
    `WORKDIR /w
RUN --mount=target=ctx --mount=source=sub,target=/sub,rw cat ctx/sub/f; touch ctx/x 2>/dev/null || echo read-only; echo new > /sub/f && cat /sub/f
RUN --mount=source=sub,target=/sub cat /sub/f && ls -A /w
`,
    { 'sub/f': 'old\n' },
  );
  assert.deepEqual(await printed(dir), ['old', 'read-only', 'new', 'old']);
  assert.equal(readFileSync(join(dir, 'sub/f'), 'utf8'), 'old\n');
});

test('bind: from a stage, an image and a later stage', async () => {
  const dir = writeContext(slipway, {
    Dockerfile: `FROM busybox AS first
RUN echo first > /f
FROM busybox AS main
RUN --mount=from=first,target=/a --mount=from=busybox,source=/etc,target=/b --mount=from=last,source=/f,target=/c cat /a/f /c && ls /b/passwd
FROM busybox AS last
RUN echo last > /f
`,
  });
  assert.deepEqual((await printed(dir, '--target', 'main')).sort(), ['/b/passwd', 'first', 'last']);
});

test('cache: kept between builds by id, by target otherwise, and apart by namespace', async () => {
  const dir = busybox(`RUN --mount=type=cache,id=shared,target=/one echo 1 >> /one/n; cat /one/n | wc -l
RUN --mount=type=cache,id=shared,target=/two,ro cat /two/n | wc -l; touch /two/x 2>/dev/null || echo read-only
RUN --mount=type=cache,target=/one ls -A /one; stat -c '%a %u:%g' /one
RUN --mount=type=cache,target=/owned,mode=0700,uid=5,gid=6 stat -c '%a %u:%g' /owned
`);
  const first = await printed(dir);
  assert.deepEqual(first, ['1', '1', 'read-only', '755 0:0', '700 5:6']);
  assert.equal((await printed(dir))[0], '2');
  assert.equal((await printed(dir, '--build-arg', 'BUILDKIT_CACHE_MOUNT_NS=other'))[0], '1');
});

test('cache: begins with the files of from and source', async () => {
  const dir = writeContext(slipway, {
    Dockerfile: `FROM busybox AS seed
RUN mkdir -p /s/in && echo seeded > /s/in/f
FROM busybox
RUN --mount=type=cache,id=seeded,target=/c,from=seed,source=/s/in cat /c/f; echo more >> /c/f
`,
  });
  assert.deepEqual(await printed(dir), ['seeded']);
  assert.deepEqual(await printed(dir), ['seeded', 'more'], 'once only');
});

test('cache: a file as its source is refused, and leaves the mount as it was', async () => {
  const mount = 'RUN --mount=type=cache,id=of-a-file,target=/c';
  const seeded = busybox(`${mount},from=busybox,source=/etc/passwd cat /c\n`);
  await refused(seeded, /\/etc\/passwd is a file, and the cache mount at \/c is a directory/);
  assert.deepEqual(await printed(busybox(`${mount} ls -A /c; echo usable\n`)), ['usable']);
});

test('cache: two steps at once wait for each other when it is locked, and have each their own when it is private', async () => {
  const text = (sharing: string) =>
    ['a', 'b']
      .map(
        name => `FROM busybox AS ${name}
RUN --mount=type=cache,id=${sharing},target=/c,sharing=${sharing} \\
  if mkdir /c/busy 2>/dev/null; then echo ${name} alone; sleep 1; rmdir /c/busy; else echo ${name} met the other; fi
`,
      )
      .join('');
  const both = async (sharing: string) => {
    const dir = writeContext(slipway, {
      Dockerfile: `${text(sharing)}FROM scratch\nCOPY --from=a /etc /a\nCOPY --from=b /etc /b\n`,
    });
    return (await printed(dir)).sort();
  };
  assert.deepEqual(await both('locked'), ['a alone', 'b alone']);
  assert.deepEqual(await both('private'), ['a alone', 'b alone']);
  assert.ok((await both('shared')).some(line => line.endsWith('met the other')));
});

test('tmpfs: of the size asked for, and gone afterwards', async () => {
  const dir =
    busybox(`RUN --mount=type=tmpfs,target=/t,size=1m mount | grep ' /t ' | grep -o 'size=[0-9]*k'; head -c 2m /dev/zero > /t/f 2>/dev/null || echo full
RUN ls -A / | grep -x t || echo gone
`);
  const lines = await printed(dir);
  assert.equal(lines[0], 'size=1024k');
  assert.equal(lines.at(-2), 'full');
  assert.equal(lines.at(-1), 'gone');
});

test('secret: a file of mode 0400, a variable, both; owner and mode as asked; absent or empty when it is optional', async () => {
  const dir =
    busybox(`RUN --mount=type=secret,id=one stat -c '%n %a %u:%g' /run/secrets/one; wc -c < /run/secrets/one
RUN --mount=type=secret,id=one,target=/etc/key,mode=0440,uid=5,gid=6 stat -c '%a %u:%g' /etc/key
RUN --mount=type=secret,id=one,env=ONE echo "length \${#ONE}"; ls /run/secrets 2>/dev/null || echo no file
RUN --mount=type=secret,id=one,env=ONE,target=/both echo "length \${#ONE}" && wc -c < /both
RUN --mount=type=secret,id=none test -e /run/secrets/none || echo absent
RUN --mount=type=secret,id=none,env=NONE set -u; echo "nothing=$NONE"
`);
  const secret = ['--secret', 'id=one,env=ONE_VALUE'];
  const { stderr } = await slipway.must(['build', '--progress=plain', ...secret, dir], {
    env: { ONE_VALUE: 'canary-8831' },
  });
  const lines = [...stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map(match => match[1]);
  assert.deepEqual(lines, [
    '/run/secrets/one 400 0:0',
    '11',
    '440 5:6',
    'length 11',
    'no file',
    'length 11',
    '11',
    'absent',
    'nothing=',
  ]);
});

test('secret: a required one that is not there stops the build, naming it', async () => {
  const dir = busybox('RUN --mount=type=secret,id=tokn,required=true true\n');
  await refused(dir, /tokn/);
  await refused(dir, /did you mean tokn|--secret id=tokn/);
});

test('secret: its value is not part of the cache key and is nowhere in the store', async () => {
  const dir = busybox('RUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null; echo ran\n');
  const build = (value: string) =>
    slipway.must(['build', '--progress=plain', '--secret', 'id=s,env=S', dir], { env: { S: value } });
  await build('canary-one-77');
  assert.match((await build('canary-two-77')).stderr, /1 of 1 steps cached/);
  assert.equal(await must(['sh', '-c', 'grep -r "canary-[a-z]*-77" "$0" || true', slipway.store]), '');
});

test('ssh: the agent of --ssh behind SSH_AUTH_SOCK; places, owner and mode; an error when a required one was not lent', async () => {
  const socket = join(mkdtempSync(join(slipway.dir, 'agent-')), 's');
  const agent = createServer(peer => peer.on('error', () => {}).end('agent'));
  await new Promise<void>(resolve => agent.listen(socket, () => resolve()));
  try {
    const dir = writeContext(slipway, {
      Dockerfile: `FROM debian
RUN --mount=type=ssh echo "$SSH_AUTH_SOCK" && perl -MIO::Socket::UNIX -e 'print IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK})->getline'
RUN --mount=type=ssh,id=other,target=/agent echo "\${SSH_AUTH_SOCK:-none}"
`,
    });
    assert.deepEqual(await printed(dir, '--ssh', `default=${socket}`), [
      '/run/buildkit/ssh_agent.0',
      'agent',
      'none',
    ]);
    const several = busybox(`RUN --mount=type=ssh,id=a,target=/t --mount=type=ssh,id=b \\
  --mount=type=ssh,id=a,mode=0666,uid=33,gid=34 \\
  echo "$SSH_AUTH_SOCK"; stat -c '%n %a %u:%g' /t /run/buildkit/*
ENV SSH_AUTH_SOCK=/mine
RUN --mount=type=ssh,id=a echo "$SSH_AUTH_SOCK"
`);
    assert.deepEqual(await printed(several, '--ssh', `a=${socket}`, '--ssh', `b=${socket}`), [
      '/t',
      '/t 600 0:0',
      '/run/buildkit/ssh_agent.1 600 0:0',
      '/run/buildkit/ssh_agent.2 666 33:34',
      '/mine',
    ]);
    await refused(busybox('RUN --mount=type=ssh,required true\n'), /--ssh default/);
  } finally {
    await new Promise(resolve => agent.close(resolve));
  }
});

test('ssh: private keys by their files, which the step can use and not see', async () => {
  const dir = mkdtempSync(join(slipway.dir, 'keys-'));
  const key = join(dir, 'key');
  const locked = join(dir, 'locked');
  await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'mine', '-f', key]);
  await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', 'secret', '-f', locked]);
  const ask = `perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}); print $s pack("NC", 1, 11); $s->flush; read $s, $x, 9; print "keys ", unpack("x5N", $x), "\\n"'`;
  const context = writeContext(slipway, {
    Dockerfile: `FROM debian\nRUN --mount=type=ssh,id=deploy,required=true ${ask}\n`,
  });
  for (const isolation of ['oci', 'namespace', 'proot']) {
    const flags = [`--isolation=${isolation}`, '--ssh', `deploy=${key}`];
    assert.deepEqual(await printed(context, ...flags), ['keys 1'], isolation);
  }
  for (const [spec, message] of [
    [`deploy=${key},${key}.pub`, /key\.pub cannot be used: it holds no private key/],
    [`deploy=${locked}`, /locked cannot be used: the key has a passphrase/],
    [`deploy=${join(dir, 'none')}`, /none is not there/],
    [`deploy=${dir}`, /is neither a socket nor a private key/],
    ['=x', /it has no id/],
  ] as const) {
    const ended = await slipway.run(['build', '--ssh', spec, context]);
    assert.equal(ended.status, 2);
    assert.match(ended.stderr, message);
  }
  const twice = ['--ssh', `deploy=${key}`, '--ssh', `deploy=${key}`];
  assert.match((await slipway.run(['build', ...twice, context])).stderr, /the id is there already/);
});

test('mount points that were made for a mount are not in the layer, files written beside it are', async () => {
  const { layers } = await buildImage(slipway, [
    busybox(
      'RUN --mount=type=cache,target=/deep/er/cache --mount=type=tmpfs,target=/tmp/t echo x > /deep/kept\n',
    ),
  ]);
  assert.deepEqual(layers.at(-1), ['deep/', 'deep/kept']);
});
