// Image commands beside a real Docker engine that holds the same images: the same tables, JSON, messages.
import assert from 'node:assert/strict';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Engine, startEngine } from '../support/engine.ts';
import { writeContext } from '../support/images.ts';
import { type Program, program } from '../support/program.ts';

let engine: Engine;
let slipway: Program;

/** Two images of one repository and one of another, in both. */
before(async () => {
  engine = await startEngine();
  slipway = program();
  const build = async (name: string, dockerfile: string, epoch: number) => {
    const files = { file: 'twelve bytes', 'd/file': 'x'.repeat(12_345) };
    const dir = writeContext(slipway, { Dockerfile: dockerfile, ...files });
    symlinkSync('a target of some length', join(dir, 'd/link'));
    await slipway.must(['build', '-q', '-t', name, '--build-arg', `SOURCE_DATE_EPOCH=${epoch}`, dir]);
  };
  const now = Math.floor(Date.now() / 1000);
  const common = 'FROM scratch\nCOPY file /one\nCOPY d /d/\n';
  await build(
    'reg.example:5000/team/app:1',
    `${common}COPY file /two\nENV A=1 B=2\nLABEL kind=app empty=\nCMD ["/one", "<&>"]\nEXPOSE 80\nVOLUME /data\nUSER 7\nHEALTHCHECK --interval=5s CMD /one\n`,
    now - 7200,
  );
  await build(
    'small:latest',
    `${common}WORKDIR /w\nENTRYPOINT ["/a long line of words that does not fit into a column"]\n`,
    now - 86_400 * 20,
  );
  await slipway.must(['tag', 'small', 'small:other']);
  const archive = join(slipway.dir, 'all.tar');
  await slipway.must(['save', '-o', archive, 'reg.example:5000/team/app:1', 'small']);
  await engine.docker(['load', '-q', '-i', archive]);
});

after(async () => {
  slipway?.[Symbol.dispose]();
  await engine?.stop();
});

const out = async (...args: string[]) => (await slipway.must(args)).stdout;

/** Docker keeps the rows of one image in no order. */
const sorted = (text: string) => text.split('\n').sort();

test('images prints the table that docker prints', async () => {
  for (const args of [
    ['images'],
    ['images', '--no-trunc'],
    ['images', '--digests'],
    ['images', '-a'],
    ['images', '-q'],
    ['images', 'small'],
    ['images', 'small:other'],
    ['images', 'nothing'],
    ['image', 'ls', '--filter', 'label=kind=app'],
    ['image', 'ls', '--filter', 'label=kind=other'],
    ['image', 'ls', '--filter', 'label=empty'],
    ['image', 'ls', '--filter', 'reference=*:latest'],
    ['image', 'ls', '--filter', 'reference=reg.example:5000/*/*'],
    ['image', 'ls', '--filter', 'before=reg.example:5000/team/app:1'],
    ['image', 'ls', '--filter', 'since=small'],
    ['image', 'ls', '--filter', 'dangling=true'],
    ['image', 'ls', '--filter', 'dangling=false'],
    ['images', '--format', '{{.ID}}: {{.Repository}} {{.Tag}} {{.CreatedAt}} {{.Size}} {{.Digest}}'],
    ['images', '--format', 'table {{.Repository}}\\t{{.ID}}\\t{{upper .Tag}}'],
    ['images', '--format', '{{json .}}'],
    ['images', '--format', '{{range split .Repository "/"}}[{{.}}]{{end}}{{if eq .Tag "1"}} one{{end}}'],
  ]) {
    assert.deepEqual(sorted(await out(...args)), sorted(await engine.docker(args)), args.join(' '));
  }
});

test('history prints what docker prints', async () => {
  for (const args of [
    ['history', 'small'],
    ['history', '--no-trunc', 'small'],
    ['history', '-q', 'small'],
    ['history', '-H=false', 'small'],
    ['image', 'history', '--human=false', 'reg.example:5000/team/app:1'],
    ['history', '--format', '{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}', 'reg.example:5000/team/app:1'],
    ['history', '--format', '{{json .}}', 'small'],
  ]) {
    assert.equal(await out(...args), await engine.docker(args), args.join(' '));
  }
});

test('inspect prints the JSON that docker prints, apart from what only an engine knows', async () => {
  const names = ['reg.example:5000/team/app:1', 'small'];
  const ours = JSON.parse(await out('inspect', ...names));
  const theirs = JSON.parse(await engine.docker(['image', 'inspect', ...names]));
  for (const [i, image] of theirs.entries()) {
    // The engine's own notes: how the image would be run, where it keeps it, when it was tagged there.
    for (const key of ['Container', 'ContainerConfig', 'GraphDriver', 'Metadata']) delete image[key];
    const { Descriptor, Metadata, ...shown } = ours[i];
    assert.deepEqual(shown, image);
    assert.deepEqual(Object.keys(shown), Object.keys(image));
    assert.match(Descriptor.digest, /^sha256:/);
    assert.ok(Date.parse(Metadata.LastTagTime) > 0);
  }
});

test('inspect fills in templates as docker does', async () => {
  for (const format of [
    '{{.Id}}',
    '{{.Architecture}} {{.Os}}',
    '{{json .RootFS.Layers}}',
    '{{json .Config.Cmd}} {{json .Config.Labels}}',
    '{{range .Config.Env}}{{println .}}{{end}}',
    '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}',
    '{{index .Config.Labels "kind"}}',
    '{{.Config.Labels.kind}} {{.Config.Labels}}',
    '{{len .RootFS.Layers}} {{.Size}} {{.RepoTags}}',
    '{{with .Config.User}}user {{.}}{{else}}nobody{{end}}',
    '{{index .RepoTags 0 | printf "%q %v" "x"}}',
    '{{join .Config.Cmd ", "}}{{/* no comment */}}',
    '{{- if and .Config.User (gt (len .RepoTags) 0) -}} yes {{- end}}',
    '{{.Config.User | printf "%5s|%-5s|" "a"}}',
    '{{truncate .Id 12}} {{title "hello"}} {{pad "x" 1 2}}|',
    '{{(index .RootFS.Layers 1)}}',
  ]) {
    const args = ['inspect', '-f', format, 'reg.example:5000/team/app:1'];
    assert.equal(await out(...args), await engine.docker(args), format);
  }
  // What this image has nothing of.
  for (const format of [
    '{{.Variant}}|{{.OsVersion}}|{{.Config.StopSignal}}|{{.Config.User}}',
    '{{.Config.Healthcheck}} {{json .Config.Healthcheck}}{{if .Config.Healthcheck}} yes{{end}}',
    '{{.Config.ExposedPorts}} {{len .Config.ExposedPorts}} {{json .Config.ExposedPorts}}',
    '{{.Config.OnBuild}} {{.Config.Shell}} {{json .Config.Cmd}} {{.Config.Cmd}} {{.Config.ArgsEscaped}}',
    '{{.Config.Labels}} {{json .Config.Labels}} {{.Config.Labels.x}}|{{index .Config.Labels "x"}}|',
    '{{range .Config.Cmd}}{{.}}{{else}}none{{end}}',
  ]) {
    const args = ['inspect', '-f', format, 'small'];
    assert.equal(await out(...args), await engine.docker(args), format);
  }
});

test('a format that cannot be filled in is refused with the fields that there are', async () => {
  for (const [format, message] of [
    ['{{.Nothing}}', /there is no field ".Nothing"[\s\S]*\.RepoTags/],
    ['{{.Id', /does not end with }}/],
    ['{{if .Id}}x', /\{\{if\}\} has no \{\{end\}\}/],
    ['{{frobnicate .Id}}', /unknown function "frobnicate"/],
    ['{{define "x"}}{{end}}', /\{\{define\}\} is not supported/],
    ['{{index .RepoTags 7}}', /index: there is no item 7/],
  ] as const) {
    const ended = await slipway.run(['inspect', '-f', format, 'small']);
    assert.notEqual(ended.status, 0, format);
    assert.match(ended.stderr, message);
  }
});

test('names that stand for nothing are said, the others are still shown', async () => {
  const ended = await slipway.run(['inspect', 'nothing', 'small']);
  assert.equal(ended.status, 1);
  assert.equal(JSON.parse(ended.stdout).length, 1);
  assert.match(ended.stderr, /there is no image "nothing"/);
  const none = await slipway.run(['inspect', 'nothing']);
  assert.deepEqual([none.status, JSON.parse(none.stdout)], [1, []]);
  assert.equal((await slipway.run(['image', 'exists', 'nothing'])).status, 1);
  assert.equal((await slipway.run(['image', 'exists', 'small'])).status, 0);
  for (const bad of ['UPPER', 'a b', 'small:']) {
    assert.equal((await slipway.run(['history', bad])).status, 2, bad);
  }
});

test('an image is found by its id, by the beginning of its id, and by nothing that could be two', async () => {
  const id = (await out('inspect', '-f', '{{.Id}}', 'small')).trim();
  for (const text of [id, id.slice(7), id.slice(7, 19), id.slice(0, 20)]) {
    assert.equal((await out('inspect', '-f', '{{.Id}}', text)).trim(), id);
  }
  using other = program();
  const ids = new Map<string, string>();
  for (let i = 0; ; i++) {
    const dir = writeContext(other, { Dockerfile: `FROM scratch\nLABEL n=${i}\n` });
    const made = (await other.must(['build', '-q', dir])).stdout.trim().slice(7);
    const first = made.slice(0, 1);
    if (!ids.has(first)) {
      ids.set(first, made);
      continue;
    }
    const ended = await other.run(['history', first]);
    assert.equal(ended.status, 2);
    assert.match(ended.stderr, /several image ids begin with/);
    assert.ok(ended.stderr.includes(made.slice(0, 12)));
    break;
  }
});

test('rmi says what docker says, and takes the image with its last name only', async () => {
  const steps = [
    ['rmi', 'small:other'],
    ['rmi', 'small'],
    ['image', 'rm', 'reg.example:5000/team/app:1'],
  ];
  using other = program();
  const archive = join(slipway.dir, 'all.tar');
  await other.must(['load', '-i', archive]);
  for (const args of steps) {
    assert.equal((await other.must(args)).stdout, await engine.docker(args), args.join(' '));
  }
  assert.equal((await other.must(['images', '-q'])).stdout, '');
  assert.equal(
    sorted((await other.must(['load', '-i', archive])).stdout).join('\n'),
    sorted(await engine.docker(['load', '-i', archive])).join('\n'),
  );
  const id = (await other.must(['inspect', '-f', '{{.Id}}', 'small'])).stdout.trim();
  const refused = await other.run(['rmi', id.slice(7, 19)]);
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /several names/);
  assert.equal((await other.must(['images', '-q', 'small'])).stdout.trim().split('\n').length, 2);
  const forced = ['rmi', '-f', id];
  assert.deepEqual(sorted((await other.must(forced)).stdout), sorted(await engine.docker(forced)));
  const missing = await other.run(['rmi', 'small', 'reg.example:5000/team/app:1']);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /there is no image "small"/);
  assert.match(missing.stdout, /Untagged: reg.example:5000\/team\/app:1/);
  assert.equal((await other.run(['rmi', '-f', 'small'])).status, 0);
  await engine.docker(['load', '-q', '-i', archive]);
});

test('a tag that is built anew leaves the image before without a name, until it is pruned', async () => {
  using own = program();
  const dir = writeContext(own, { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  const build = async (...args: string[]) => (await own.must(['build', '-q', ...args, dir])).stdout.trim();
  const first = await build('-t', 'app');
  writeFileSync(join(dir, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /other\n');
  const second = await build('-t', 'app');
  const untagged = await build('--label', 'a=b');
  const ids = async (...args: string[]) =>
    (await own.must(['images', '-q', '--no-trunc', ...args])).stdout.trim().split('\n').sort();
  assert.deepEqual(await ids('-f', 'dangling=true'), [first, untagged].sort());
  assert.deepEqual(await ids('-f', 'dangling=false'), [second]);
  assert.match((await own.must(['images'])).stdout, /^<none> +<none> +[0-9a-f]{12} /m);
  const asked = await own.must(['image', 'prune'], { input: 'n\n' });
  assert.match(
    asked.stdout,
    /^WARNING! This will remove all dangling images\.\nAre you sure .*Total reclaimed space: 0B\n$/s,
  );
  assert.equal((await ids()).length, 3);
  assert.equal(
    (await own.must(['image', 'prune', '-f', '--filter', 'label=c'])).stdout,
    'Total reclaimed space: 0B\n',
  );
  const kept = await own.must(['image', 'prune', '-f', '--filter', 'label=a']);
  assert.match(kept.stdout, new RegExp(`^Deleted Images:\ndeleted: ${untagged}\n`));
  const pruned = await own.must(['image', 'prune'], { input: 'y\n' });
  assert.match(pruned.stdout, new RegExp(`deleted: ${first}`));
  assert.deepEqual(await ids(), [second]);
  await own.must(['image', 'prune', '-a', '-f']);
  assert.equal((await own.must(['images', '-q'])).stdout, '');
});

test('system df counts images and cache, system prune empties them', async () => {
  using own = program();
  const dir = writeContext(own, { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  await own.must(['build', '-q', '-t', 'app', dir]);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /other\n');
  await own.must(['build', '-q', '-t', 'app', dir]);
  const rows = async () =>
    (await own.must(['system', 'df', '--format', '{{.Type}}: {{.TotalCount}} {{.Active}}'])).stdout;
  assert.equal(await rows(), 'Images: 2 1\nBuild Cache: 2 1\n');
  const table = (await own.must(['system', 'df'])).stdout.split('\n');
  const [theirs = ''] = (await engine.docker(['system', 'df'])).split('\n');
  assert.equal(table[0]?.replace(/ +/g, ' '), theirs.replace(/ +/g, ' '));
  assert.match(table[1] ?? '', /^Images +2 +1 +[\d.]+kB +[\d.]+kB \(50%\)$/);
  const verbose = (await own.must(['system', 'df', '-v'])).stdout;
  assert.match(
    verbose,
    /^Images space usage:\n\nREPOSITORY +TAG +IMAGE ID +CREATED +SIZE +SHARED SIZE +UNIQUE SIZE\n/,
  );
  const volumes = await own.must(['system', 'prune', '--volumes', '-f', '--filter', 'until=1h']);
  assert.match(volumes.stderr, /keeps no volumes/);
  assert.match(
    await own.must(['system', 'prune'], { input: '' }).then(ended => ended.stdout),
    /\[y\/N\] Total reclaimed space: 0B\n$/,
  );
  assert.match((await own.must(['system', 'prune', '-f'])).stdout, /Deleted Images:\ndeleted: sha256:/);
  assert.match(await rows(), /^Images: 1 1\n/);
  await own.must(['system', 'prune', '-a', '-f']);
  assert.equal(await rows(), 'Images: 0 0\nBuild Cache: 0 0\n');
});
