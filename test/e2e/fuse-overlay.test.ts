// Builds where the kernel refuses overlays (here: its call for them is made to fail) go on with fuse-overlayfs, and make
// the same layers.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { somebody } from '../support/as-user.ts';
import { baseImages } from '../support/base-registry.ts';
import { processesWith } from '../support/processes.ts';
import { must } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';
import { withFuse } from '../support/with-fuse.ts';

const registry = baseImages();

const dockerfile = `FROM busybox
RUN mkdir -p /a/sub/deep && echo 1 > /a/file && echo 2 > /a/sub/deep/file && ln -s file /a/link && chown 7:8 /a/file
RUN rm -r /a/sub && mkdir /a/sub && echo new > /a/sub/new && rm /a/link && chmod 4755 /a/file && chmod 600 /etc/passwd
RUN --mount=type=cache,target=/cache --mount=type=bind,target=/context,rw echo > /context/new
USER 65534
RUN id -u > /tmp/id && mkdir /tmp/d && test ! -e /a/sub/deep && echo > /dev/null
`;

const withoutOverlay = [
  'strace',
  '-f',
  '-qq',
  '-o',
  '/dev/null',
  '-e',
  'trace=fsopen',
  '-e',
  'inject=fsopen:error=ENODEV',
];

for (const who of ['root', 'subordinate ids'] as const) {
  test(`${who}: fuse-overlayfs makes the layers that the kernel's overlay makes`, async () => {
    const place = mkdtempSync(join(tmpdir(), 'slipway-fuse-'));
    using _ = { [Symbol.dispose]: () => rmSync(place, { recursive: true, force: true }) };
    using user = somebody(who === 'root' ? 'container' : who);
    const wrap = (argv: readonly string[]) => withFuse(place, who === 'root' ? argv : user.wrap(argv));
    const registries = join(user.home, 'registries.conf');
    copyFileSync(registry.registriesConf, registries);
    chmodSync(registries, 0o644);
    const context = join(user.home, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), dockerfile);
    const slipway = (store: string, ...args: readonly string[]) => [
      process.execPath,
      join(repoRoot, 'bin/slipway.js'),
      ...['--root', join(user.home, store), ...args],
    ];
    const env = { CONTAINERS_REGISTRIES_CONF: registries, SOURCE_DATE_EPOCH: '1700000000' };
    const build = (name: string) =>
      slipway(name, 'build', '-o', `type=oci,dest=${join(user.home, `${name}.tar`)}`, context);
    await must(wrap(build('kernel')), { env });
    await must([...withoutOverlay, ...wrap(build('fuse'))], { env });
    const [kernel, fuse] = ['kernel', 'fuse'].map(name => readFileSync(join(user.home, `${name}.tar`)));
    assert.ok(kernel?.equals(fuse ?? Buffer.alloc(0)), 'the images differ');
    assert.deepEqual(processesWith(user.home), []);
    const info = await must([...withoutOverlay, ...wrap(slipway('fuse', 'info'))], { env });
    assert.match(
      info,
      /^snapshots {2}kernel overlay: not here, .*ENODEV.*\nsnapshots {2}fuse-overlayfs \(taken\)$/m,
    );
  });
}

test('somebody who may not open /dev/fuse is told so', async () => {
  using user = somebody('subordinate ids');
  const argv = [
    process.execPath,
    join(repoRoot, 'bin/slipway.js'),
    '--root',
    join(user.home, 'store'),
    'info',
  ];
  const closed = 'chmod 600 "$1" && mount --bind "$1" /dev/fuse && shift && exec "$@"';
  const node = join(user.home, 'nothing');
  writeFileSync(node, '');
  const info = await must(['unshare', '--mount', 'sh', '-c', closed, 'sh', node, ...user.wrap(argv)]);
  assert.match(info, /^snapshots {2}fuse-overlayfs: not here, .*\/dev\/fuse/m);
});
