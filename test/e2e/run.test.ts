// RUN on real bases: what a command sees, what it leaves behind, how it fails.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseImages } from '../support/base-registry.ts';
import { must, type Program } from '../support/program.ts';

const registry = baseImages();

/** Writes a context. */
function context(slipway: Program, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(slipway.dir, 'context-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(dir, name, '..'), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

/** The names in the uppermost layer of the image. */
async function topLayer(slipway: Program, args: readonly string[]): Promise<string[]> {
  const layout = mkdtempSync(join(slipway.dir, 'layout-'));
  await slipway.must(['build', '-o', `type=oci,tar=false,dest=${layout}/out`, ...args]);
  const blob = (digest: string) => join(layout, 'out/blobs', digest.replace(':', '/'));
  const index = JSON.parse(readFileSync(join(layout, 'out/index.json'), 'utf8'));
  const manifest = JSON.parse(readFileSync(blob(index.manifests[0].digest), 'utf8'));
  return (await must(['tar', '-tzf', blob(manifest.layers.at(-1).digest)]))
    .trim()
    .split('\n')
    .filter(Boolean);
}

test('a layer holds what the command changed and nothing of what it was lent', async () => {
  using slipway = registry.slipway();
  const dir = context(slipway, {
    Dockerfile: `FROM busybox
RUN cat /etc/resolv.conf /etc/hosts /proc/self/status > /dev/null && ls /sys/kernel > /dev/null && echo x > /dev/null && mkdir /made && echo hi > /made/file && rm /bin/wget
`,
  });
  assert.deepEqual((await topLayer(slipway, [dir])).sort(), ['bin/', 'bin/.wh.wget', 'made/', 'made/file']);
});

test('a step that changes nothing makes no layer', async () => {
  using slipway = registry.slipway();
  const dir = context(slipway, { Dockerfile: 'FROM busybox\nRUN echo one > /one\nRUN true\nRUN cat /one\n' });
  assert.deepEqual(await topLayer(slipway, [dir]), ['one']);
});

test('output is streamed, and a failing command is reported with status, last lines, place and no output file', async () => {
  using slipway = registry.slipway();
  const dest = join(slipway.dir, 'x.tar');
  const dir = context(slipway, {
    Dockerfile: 'FROM busybox\nRUN echo to stdout; echo to stderr >&2; exit 7\nRUN echo never\n',
  });
  const ended = await slipway.run(['build', '--progress=plain', '-o', `type=docker,dest=${dest}`, dir]);
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /#\d+ \d+\.\d{3} to stdout\n/);
  assert.match(ended.stderr, /#\d+ \d+\.\d{3} to stderr\n/);
  assert.match(ended.stderr, /error: the command ended with status 7/);
  assert.match(ended.stderr, /Dockerfile:2\n/);
  assert.match(ended.stderr, /> 2 \| RUN echo to stdout/);
  assert.doesNotMatch(ended.stderr, /never\n.*never| {4}at .*\.js/);
  assert.equal(existsSync(dest), false);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM busybox\nRUN echo fixed\n');
  await slipway.must(['build', '-t', 'ok', dir]);
});

test('environment, user, working directory, ARG and heredocs are what the Dockerfile says', async () => {
  using slipway = registry.slipway();
  const out = join(slipway.dir, 'out');
  const dir = context(slipway, {
    Dockerfile: `FROM busybox
ARG VERSION=1
ENV NAME="a b" PLACE=/srv
WORKDIR $PLACE/app
RUN echo "$VERSION|$NAME|$PWD|$HOME|$(id -u):$(id -g)|$(umask)" > facts
RUN chmod 777 .
USER nobody
RUN <<EOF
id -u > user
cat > /dev/null && echo "stdin was empty" >> user
EOF
RUN <<EOF
#!/bin/awk -f
BEGIN { print "awk ran" > "script" }
EOF
`,
  });
  await slipway.must(['build', '--build-arg', 'VERSION=2', '-o', out, dir]);
  assert.equal(readFileSync(join(out, 'srv/app/facts'), 'utf8'), '2|a b|/srv/app|/root|0:0|0022\n');
  assert.equal(readFileSync(join(out, 'srv/app/user'), 'utf8'), '65534\nstdin was empty\n');
  assert.equal(readFileSync(join(out, 'srv/app/script'), 'utf8'), 'awk ran\n');
});

test('--network=none leaves loopback only', async () => {
  using slipway = registry.slipway();
  const dir = context(slipway, {
    Dockerfile: 'FROM busybox\nRUN --network=none ls /sys/class/net > /nets && ifconfig lo | grep -q UP\n',
  });
  await slipway.must(['build', '-o', join(slipway.dir, 'out'), dir]);
  assert.equal(readFileSync(join(slipway.dir, 'out/nets'), 'utf8'), 'lo\n');
});

test('mounts of RUN: bind, cache, tmpfs and secret do their work and are not in the layer', async () => {
  using slipway = registry.slipway();
  const dir = context(slipway, {
    'src/a.txt': 'from the context',
    token: 'canary-7f3a9c',
    Dockerfile: `FROM busybox AS tools
RUN echo tool > /tool
FROM busybox
RUN --mount=type=bind,source=src,target=/src --mount=type=bind,from=tools,target=/t \\
    --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch --mount=type=secret,id=token \\
    cat /src/a.txt /t/tool > /got && echo warm >> /cache/count && wc -l < /cache/count > /runs && echo x > /scratch/x \\
    && cat /run/secrets/token && ! touch /src/denied
`,
  });
  const args = [
    'build',
    '--progress=plain',
    '--secret',
    `id=token,src=${join(dir, 'token')}`,
    '-t',
    'mounted',
  ];
  const first = await slipway.must([...args, '-o', join(slipway.dir, 'one'), dir]);
  assert.equal(readFileSync(join(slipway.dir, 'one/got'), 'utf8'), 'from the contexttool\n');
  assert.match(first.stderr, /\*{8}/);
  const again = await slipway.must([...args, '--no-cache', '-o', join(slipway.dir, 'two'), dir]);
  assert.equal(
    readFileSync(join(slipway.dir, 'two/runs'), 'utf8').trim(),
    '2',
    'the cache mount outlives a build without cache',
  );
  for (const name of ['cache', 'scratch', 'src', 't', 'run']) {
    assert.ok(!readdirSync(join(slipway.dir, 'one')).includes(name), `${name} was left behind`);
  }
  assert.doesNotMatch(first.stderr + again.stderr, /canary-7f3a9c/);
  const traces = await must(['sh', '-c', 'grep -r canary-7f3a9c "$0" || true', slipway.store]);
  assert.equal(traces, '', 'the secret is nowhere in the store');
});

test('apt-get installs a package with maintainer scripts and a service user', {
  timeout: 300_000,
}, async () => {
  using slipway = registry.slipway();
  const out = join(slipway.dir, 'out.tar');
  const dir = context(slipway, {
    // A package made here, so that nothing depends on a mirror: its scripts do what those of real services do.
    'demo/DEBIAN/control':
      'Package: demo\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: demo\n',
    'demo/DEBIAN/postinst':
      '#!/bin/sh\nset -e\nuseradd --system --uid 777 demo\ninstall -d -o demo -g demo /var/lib/demo\n',
    'demo/usr/share/demo/file': 'content\n',
    Dockerfile: `FROM debian
COPY demo /tmp/demo
RUN chmod 755 /tmp/demo/DEBIAN/postinst && dpkg-deb --build /tmp/demo /tmp/demo.deb \\
    && apt-get install -y /tmp/demo.deb && rm -r /tmp/demo /tmp/demo.deb
RUN [ "$(stat -c %U /var/lib/demo)" = demo ]
`,
  });
  await slipway.must(['build', '-o', `type=tar,dest=${out}`, dir]);
  const listing = await must(['tar', '--numeric-owner', '-tvf', out, 'var/lib/demo/', 'usr/share/demo/file']);
  assert.match(listing, /drwxr-xr-x 777\/\d+ .* var\/lib\/demo\//);
});

test('file capabilities, setuid bits, hard links and odd names survive from RUN to the image and back', async () => {
  using slipway = registry.slipway();
  const layout = join(slipway.dir, 'layout');
  const dir = context(slipway, {
    Dockerfile: `FROM busybox
RUN mkdir /d && cd /d && cp /bin/busybox caps && cp /bin/busybox suid && chmod 4755 suid && ln suid second \\
    && mknod node c 1 3 && mkfifo pipe && ln -s /nowhere link && touch "$(printf 'odd\\377name')" "$(printf 'n%0200d' 1)" \\
    && chown 3000000:3000001 caps
FROM busybox
COPY --from=0 /d /d
`,
  });
  await slipway.must(['build', '-o', `type=oci,tar=false,dest=${layout}`, '-t', 'odd', dir]);
  const unpacked = join(slipway.dir, 'unpacked');
  await must(['umoci', 'unpack', '--image', `${layout}:latest`, unpacked]);
  const shown = await must([
    'sh',
    '-c',
    `cd "$0" && stat -c '%n %F %a %u:%g %h %t:%T' caps suid second node pipe link | sort`,
    join(unpacked, 'rootfs/d'),
  ]);
  assert.equal(
    shown,
    [
      'caps regular file 755 3000000:3000001 1 0:0',
      'link symbolic link 777 0:0 1 0:0',
      'node character special file 644 0:0 1 1:3',
      'pipe fifo 644 0:0 1 0:0',
      'second regular file 4755 0:0 2 0:0',
      'suid regular file 4755 0:0 2 0:0',
      '',
    ].join('\n'),
  );
  const names = readdirSync(join(unpacked, 'rootfs/d'), { encoding: 'buffer' }).map(name =>
    Buffer.from(name).toString('latin1'),
  );
  assert.ok(names.includes('odd\u00ffname'));
  assert.ok(names.some(name => name.length === 201));
});
