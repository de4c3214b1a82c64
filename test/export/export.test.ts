import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { checkDestination } from '../../src/export/destination.ts';
import { exportImage } from '../../src/export/export.ts';
import { parseOutput } from '../../src/export/output-spec.ts';
import type { Receipt } from '../../src/export/tools.ts';
import { mountTmpfs, unmount } from '../../src/host/mount.ts';
import { enterMountNamespace } from '../../src/host/namespace.ts';
import { hostPlatform } from '../../src/image/platform.ts';
import { exporterContract } from '../contracts/exporter.ts';
import { type ExportBench, never, withExportBench } from '../support/small-image.ts';

exporterContract({ spec: 'type=oci,compression=uncompressed', makes: 'file' });
exporterContract({ spec: 'type=oci,tar=false,compression=uncompressed', makes: 'directory' });
exporterContract({ spec: 'type=docker', makes: 'file' });
exporterContract({ spec: 'type=tar', makes: 'file' });
exporterContract({ spec: 'type=local', makes: 'directory' });

const name = 'docker.io/library/app:1';

async function run(bench: ExportBench, spec: string, names = [name]): Promise<Receipt> {
  return exportImage(await bench.input(names), parseOutput(spec), bench.tools, never);
}

function skopeo(...args: string[]): string {
  return execFileSync('skopeo', ['--insecure-policy', ...args], { encoding: 'utf8' });
}

function tarNames(path: string): string[] {
  return execFileSync('tar', ['tf', path], { encoding: 'utf8' }).trimEnd().split('\n');
}

function tarText(path: string, member: string): string {
  return execFileSync('tar', ['xOf', path, member], { encoding: 'utf8' });
}

describe('an OCI layout', () => {
  for (const spec of ['type=oci', 'type=oci,tar=false']) {
    it(`of ${spec} is read by skopeo, which finds the image by its tag`, () =>
      withExportBench(async bench => {
        const receipt = await run(bench, `${spec},dest=out`);
        const transport = spec === 'type=oci' ? 'oci-archive' : 'oci';
        const seen = JSON.parse(skopeo('inspect', `${transport}:${join(bench.cwd, 'out')}:1`));
        assert.equal(seen.Digest, receipt.root?.digest);
        assert.equal(seen.Layers.length, 2);
        skopeo('copy', `${transport}:${join(bench.cwd, 'out')}:1`, `docker-archive:${bench.cwd}/copy.tar`);
        assert.ok(existsSync(join(bench.cwd, 'copy.tar')));
      }));
  }

  it('has gzip layers and OCI media types unless told otherwise', () =>
    withExportBench(async bench => {
      for (const [spec, layer, manifest] of [
        ['', 'application/vnd.oci.image.layer.v1.tar+gzip', 'application/vnd.oci.image.manifest.v1+json'],
        [
          'compression=zstd',
          'application/vnd.oci.image.layer.v1.tar+zstd',
          'application/vnd.oci.image.manifest.v1+json',
        ],
        [
          'compression=uncompressed',
          'application/vnd.oci.image.layer.v1.tar',
          'application/vnd.oci.image.manifest.v1+json',
        ],
        [
          'oci-mediatypes=false',
          'application/vnd.docker.image.rootfs.diff.tar.gzip',
          'application/vnd.docker.distribution.manifest.v2+json',
        ],
      ]) {
        const receipt = await run(bench, `type=oci,dest=out${spec ? `,${spec}` : ''}`);
        assert.equal(receipt.root?.mediaType, manifest);
        const text = tarText(join(bench.cwd, 'out'), blobPath(receipt));
        assert.deepEqual(
          JSON.parse(text).layers.map((l: { mediaType: string }) => l.mediaType),
          [layer, layer],
          spec,
        );
      }
    }));

  it('carries the annotations of the flag and of the output in its manifest, sorted', () =>
    withExportBench(async bench => {
      const receipt = await run(bench, 'type=oci,dest=out,annotation.z.last=2,annotation.a.first=1');
      const manifest = JSON.parse(tarText(join(bench.cwd, 'out'), blobPath(receipt)));
      assert.deepEqual(Object.entries(manifest.annotations), [
        ['a.first', '1'],
        ['org.example.from', 'flag'],
        ['z.last', '2'],
      ]);
    }));

  it('in a directory keeps the other images and replaces the one of the same name', () =>
    withExportBench(async bench => {
      await run(bench, 'type=oci,tar=false,dest=out', ['docker.io/library/app:1']);
      await run(bench, 'type=oci,tar=false,dest=out', ['docker.io/library/app:2']);
      await run(bench, 'type=oci,tar=false,dest=out,compression=uncompressed', ['docker.io/library/app:1']);
      const index = JSON.parse(readFileSync(join(bench.cwd, 'out/index.json'), 'utf8'));
      const tags = index.manifests.map(
        (m: { annotations: Record<string, string> }) => m.annotations['org.opencontainers.image.ref.name'],
      );
      assert.deepEqual(tags.sort(), ['1', '2']);
    }));

  it('does not go into a directory that holds something else', () =>
    withExportBench(async bench => {
      mkdirSync(join(bench.cwd, 'out'));
      writeFileSync(join(bench.cwd, 'out/mine'), '');
      await assert.rejects(run(bench, 'type=oci,tar=false,dest=out'), { code: 'usage' });
      assert.deepEqual(readdirSync(join(bench.cwd, 'out')), ['mine']);
    }));

  it('of two platforms is an index that names both', () =>
    withExportBench(async bench => {
      const images = [
        await bench.image([], { os: 'linux', architecture: 'amd64' }),
        await bench.image([], { os: 'linux', architecture: 'arm64' }),
      ];
      const input = { kind: 'index', images, names: [name], annotations: { a: 'b' } } as const;
      const receipt = await exportImage(input, parseOutput('type=oci,dest=out'), bench.tools, never);
      const index = JSON.parse(tarText(join(bench.cwd, 'out'), blobPath(receipt)));
      assert.deepEqual(
        index.manifests.map((m: { platform: { architecture: string } }) => m.platform.architecture),
        ['amd64', 'arm64'],
      );
      assert.deepEqual(index.annotations, { a: 'b' });
      for (const arch of ['amd64', 'arm64']) {
        const at = `oci-archive:${join(bench.cwd, 'out')}:1`;
        const seen = JSON.parse(skopeo('--override-arch', arch, 'inspect', at));
        assert.equal(seen.Architecture, arch);
      }
    }));
});

function blobPath(receipt: Receipt): string {
  return `blobs/${receipt.root?.digest.replace(':', '/')}`;
}

describe('a docker archive', () => {
  it('holds a layout and a manifest.json whose paths lead to uncompressed layers', () =>
    withExportBench(async bench => {
      const path = join(bench.cwd, 'out');
      await run(bench, 'type=docker,dest=out', [name, 'reg.example/x/y:2']);
      assert.deepEqual(tarNames(path).slice(0, 2), ['blobs/', 'blobs/sha256/']);
      assert.deepEqual(tarNames(path).slice(-3), ['index.json', 'manifest.json', 'oci-layout']);
      const [entry] = JSON.parse(tarText(path, 'manifest.json'));
      assert.deepEqual(entry.RepoTags, ['app:1', 'reg.example/x/y:2']);
      const image = await bench.image();
      assert.equal(entry.Config, `blobs/sha256/${image.configDigest.slice(7)}`);
      assert.deepEqual(
        entry.Layers,
        image.diffIds.map(id => `blobs/sha256/${id.slice(7)}`),
      );
      const names = JSON.parse(tarText(path, 'index.json')).manifests.map(
        (m: { annotations: Record<string, string> }) => m.annotations['io.containerd.image.name'],
      );
      assert.deepEqual(names, [name, 'reg.example/x/y:2']);
    }));

  it('is read by skopeo as docker-archive and as oci-archive', () =>
    withExportBench(async bench => {
      await run(bench, 'type=docker,dest=out');
      const image = await bench.image();
      for (const at of ['docker-archive:out:app:1', 'oci-archive:out:1']) {
        const path = at.replace('out', join(bench.cwd, 'out'));
        const config = JSON.parse(skopeo('inspect', '--config', path));
        assert.deepEqual(config.rootfs.diff_ids, image.diffIds);
      }
    }));

  it('without a name has null for RepoTags, as docker writes it', () =>
    withExportBench(async bench => {
      await run(bench, 'type=docker,dest=out', []);
      assert.equal(JSON.parse(tarText(join(bench.cwd, 'out'), 'manifest.json'))[0].RepoTags, null);
    }));

  it('takes the names of its own output before those of -t', () =>
    withExportBench(async bench => {
      await run(bench, 'type=docker,dest=out,name=other');
      assert.deepEqual(JSON.parse(tarText(join(bench.cwd, 'out'), 'manifest.json'))[0].RepoTags, [
        'other:latest',
      ]);
    }));

  it('of several platforms has the index in its layout, and the image of this machine for readers of the older format', () =>
    withExportBench(async bench => {
      const host = hostPlatform();
      const other = { os: 'linux', architecture: host.architecture === 's390x' ? 'amd64' : 's390x' };
      const images = [await bench.image([], other), await bench.image([], host)];
      const input = { kind: 'index', images, names: [name], annotations: {} } as const;
      const receipt = await exportImage(input, parseOutput('type=docker,dest=out'), bench.tools, never);
      const path = join(bench.cwd, 'out');
      const [top] = JSON.parse(tarText(path, 'index.json')).manifests;
      assert.equal(top.digest, receipt.root?.digest);
      assert.equal(JSON.parse(tarText(path, blobPath(receipt))).manifests.length, 2);
      const [entry, another] = JSON.parse(tarText(path, 'manifest.json'));
      assert.equal(entry.Config, `blobs/sha256/${images[1]?.configDigest.slice(7)}`);
      assert.equal(another, undefined);
    }));
});

describe('a file system tar', () => {
  it('of several platforms has a directory for each, hard links within', () =>
    withExportBench(async bench => {
      const images = [
        await bench.image([], { os: 'linux', architecture: 'arm', variant: 'v7' }),
        await bench.image([], { os: 'linux', architecture: 'amd64' }),
      ];
      const input = { kind: 'index', images, names: [], annotations: {} } as const;
      await exportImage(input, parseOutput('type=tar,dest=out'), bench.tools, never);
      const names = tarNames(join(bench.cwd, 'out'));
      assert.deepEqual(
        names.filter(each => each.split('/').length === 2 && each.endsWith('/')),
        ['linux_amd64/', 'linux_arm_v7/'],
      );
      await exportImage(input, parseOutput('type=local,dest=dir'), bench.tools, never);
      for (const dir of ['linux_amd64', 'linux_arm_v7']) {
        const [tool, twin] = ['bin/tool', 'bin/twin'].map(each =>
          lstatSync(join(bench.cwd, 'dir', dir, each)),
        );
        assert.equal(tool?.ino, twin?.ino);
      }
    }));

  it('holds what the layers come to, and nothing that a later layer removed', () =>
    withExportBench(async bench => {
      await run(bench, 'type=tar,dest=out');
      const listing = execFileSync('tar', ['tvf', join(bench.cwd, 'out'), '--numeric-owner'], {
        encoding: 'latin1',
        env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
      });
      assert.deepEqual(
        listing
          .trimEnd()
          .split('\n')
          .map(line => line.replace(/\s+/g, ' ')),
        [
          'drwxr-xr-x 0/0 0 2020-09-13 12:26 bin/',
          '-rwxr-xr-x 0/0 20 2020-09-13 12:26 bin/tool',
          'hrwxr-xr-x 0/0 0 2020-09-13 12:26 bin/twin link to bin/tool',
          '-rw-r--r-- 0/0 11 2020-09-13 12:26 caf\\351',
          'dr-xr-xr-x 0/0 0 2020-09-13 12:26 closed/',
          '-rwsr-xr-x 12345/0 1 2020-09-13 12:26 closed/setuid',
          'lrwxrwxrwx 0/0 0 2020-09-13 12:26 link -> /etc/passwd',
        ],
      );
    }));
});

describe('files in a directory', () => {
  it('have their content, mode, time and links', () =>
    withExportBench(async bench => {
      await run(bench, 'type=local,dest=out');
      const at = (path: string) => join(bench.cwd, 'out', path);
      assert.equal(readFileSync(at('bin/tool'), 'utf8'), '#!/bin/sh\necho tool\n');
      assert.equal(lstatSync(at('bin/tool')).mode & 0o7777, 0o755);
      assert.equal(lstatSync(at('bin/tool')).mtimeMs, 1_600_000_000_000);
      assert.equal(lstatSync(at('bin')).mtimeMs, 1_600_000_000_000);
      assert.equal(lstatSync(at('bin/tool')).ino, lstatSync(at('bin/twin')).ino);
      assert.equal(readlinkSync(at('link')), '/etc/passwd');
      assert.equal(lstatSync(at('closed')).mode & 0o7777, 0o555);
      assert.equal(existsSync(at('gone')), false);
      const names = readdirSync(at('.'), { encoding: 'latin1' });
      assert.ok(names.includes('caf\xe9'));
    }));

  it('are not set-user-id programs of the caller when they were of somebody else', () =>
    withExportBench(async bench => {
      await run(bench, 'type=local,dest=out');
      assert.equal(lstatSync(join(bench.cwd, 'out/closed/setuid')).mode & 0o7777, 0o755);
    }));

  it('replace links that stand there without following them, and leave other files alone', () =>
    withExportBench(async bench => {
      const outside = join(bench.cwd, 'outside');
      mkdirSync(join(bench.cwd, 'out/bin'), { recursive: true });
      writeFileSync(outside, 'keep me');
      writeFileSync(join(bench.cwd, 'out/bin/other'), 'mine');
      symlinkSync(outside, join(bench.cwd, 'out/bin/tool'));
      symlinkSync(outside, join(bench.cwd, 'out/link'));
      await run(bench, 'type=local,dest=out');
      assert.equal(readFileSync(outside, 'utf8'), 'keep me');
      assert.equal(readFileSync(join(bench.cwd, 'out/bin/other'), 'utf8'), 'mine');
      assert.equal(lstatSync(join(bench.cwd, 'out/bin/tool')).isFile(), true);
    }));

  it('take the place of everything else in the directory with mode=delete, links not followed', () =>
    withExportBench(async bench => {
      const outside = join(bench.cwd, 'outside');
      mkdirSync(outside);
      writeFileSync(join(outside, 'file'), 'keep me');
      mkdirSync(join(bench.cwd, 'out/bin/tool'), { recursive: true });
      writeFileSync(join(bench.cwd, 'out/bin/tool/old'), '');
      writeFileSync(join(bench.cwd, 'out/stale'), '');
      symlinkSync(outside, join(bench.cwd, 'out/closed'));
      await run(bench, 'type=local,dest=out,mode=delete');
      await run(bench, 'type=local,dest=fresh,mode=copy');
      const names = (dir: string) =>
        readdirSync(join(bench.cwd, dir), { recursive: true, encoding: 'latin1' }).sort();
      assert.deepEqual(names('out'), names('fresh'));
      assert.equal(readFileSync(join(outside, 'file'), 'utf8'), 'keep me');
    }));

  it('leave everything as it was when what is there cannot be moved', () =>
    withExportBench(async bench => {
      mkdirSync(join(bench.cwd, 'out/mounted'), { recursive: true });
      for (const name of ['a', 'z']) writeFileSync(join(bench.cwd, 'out', name), 'mine');
      enterMountNamespace();
      mountTmpfs(join(bench.cwd, 'out/mounted'));
      try {
        await assert.rejects(run(bench, 'type=local,dest=out,mode=delete'), { code: 'output' });
        assert.deepEqual(readdirSync(join(bench.cwd, 'out')).sort(), ['a', 'mounted', 'z']);
      } finally {
        unmount(join(bench.cwd, 'out/mounted'));
      }
    }));

  it('do not go through a directory that is a link to elsewhere', () =>
    withExportBench(async bench => {
      mkdirSync(join(bench.cwd, 'elsewhere'));
      mkdirSync(join(bench.cwd, 'out'));
      symlinkSync('../elsewhere', join(bench.cwd, 'out/bin'));
      await assert.rejects(run(bench, 'type=local,dest=out'), { code: 'output' });
      assert.deepEqual(readdirSync(join(bench.cwd, 'elsewhere')), []);
      assert.deepEqual(readdirSync(join(bench.cwd, 'out')), ['bin']);
    }));
});

describe('the local store and registries', () => {
  it('name the image, with everything it reaches', () =>
    withExportBench(async bench => {
      const receipt = await run(bench, 'type=image', [name, 'reg.example/x:2']);
      assert.deepEqual(receipt.to, [name, 'reg.example/x:2']);
      const { descriptor } = bench.store.names.get(name) ?? assert.fail();
      assert.deepEqual(descriptor, receipt.root);
      const manifest = JSON.parse((await bench.store.blobs.read(descriptor.digest)).toString());
      for (const blob of [manifest.config, ...manifest.layers]) {
        assert.equal(bench.store.blobs.size(blob.digest), blob.size);
      }
      assert.deepEqual(bench.pushed, []);
    }));

  it('push under every name, and set no name in the store for type=registry', () =>
    withExportBench(async bench => {
      const receipt = await run(bench, 'type=registry', [name, 'reg.example/x:2']);
      assert.deepEqual(
        bench.pushed.map(target => [target.name, target.root, target.byDigest]),
        [
          [name, receipt.root, false],
          ['reg.example/x:2', receipt.root, false],
        ],
      );
      assert.deepEqual(bench.store.names.list(), []);
      assert.ok(bench.store.blobs.path(receipt.root?.digest ?? assert.fail()));
    }));

  it('need a name to push', () =>
    withExportBench(async bench => {
      await assert.rejects(run(bench, 'type=registry', []), { code: 'usage' });
    }));
});

describe('a destination that cannot work', () => {
  it('is refused before the build begins', () =>
    withExportBench(async ({ tools, cwd }) => {
      mkdirSync(join(cwd, 'dir'));
      writeFileSync(join(cwd, 'file'), '');
      const check = (spec: string, more = {}) => checkDestination(parseOutput(spec), { ...tools, ...more });
      await assert.rejects(check('type=tar', { stdoutIsTerminal: true }), { code: 'usage' });
      await assert.rejects(check('type=oci,dest=dir'), { code: 'usage' });
      await assert.rejects(check('type=oci,tar=false,dest=file'), { code: 'usage' });
      await assert.rejects(check('type=docker,dest=file/x'), { code: 'output' });
      await check('type=tar');
      await check('type=oci,tar=false,dest=dir');
      await check('type=docker,dest=new/deep/x');
      await check('type=docker,dest=/dev/null');
      await check('type=registry');
      assert.deepEqual(readdirSync(cwd).sort(), ['dir', 'file']);
    }));

  it('is one outside of the working directory whose other files would be deleted, unless that was allowed', () =>
    withExportBench(async ({ tools, cwd }) => {
      mkdirSync(join(cwd, 'here/below'), { recursive: true });
      mkdirSync(join(cwd, 'there'));
      symlinkSync('../there', join(cwd, 'here/link'));
      const check = (dest: string, more = {}) =>
        checkDestination(parseOutput(`type=local,mode=delete,dest=${dest}`), {
          ...tools,
          cwd: join(cwd, 'here'),
          ...more,
        });
      for (const dest of ['below', 'new/deep', '..below', './below/../x', join(cwd, 'here/below')])
        await check(dest);
      for (const dest of [
        '.',
        '..',
        '../there',
        'link',
        'link/x',
        '/nowhere',
        'below/../..',
        `${cwd}/heretoo`,
      ]) {
        await assert.rejects(check(dest), { code: 'usage', message: /^mode=delete would delete/ }, dest);
      }
      await check('../there', { allow: new Set(['buildx.local.delete']) });
      await checkDestination(parseOutput('type=local,dest=../there'), { ...tools, cwd: join(cwd, 'here') });
    }));

  it('may be a device, which stays one', () =>
    withExportBench(async bench => {
      await run(bench, 'type=tar,dest=/dev/null');
      assert.equal(lstatSync('/dev/null').isCharacterDevice(), true);
    }));
});
