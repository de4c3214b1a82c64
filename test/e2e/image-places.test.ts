// What an image is called, and found under, in the file or directory that it is copied to; directories of other tools.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildImage, writeContext } from '../support/images.ts';
import { must, type Program, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

let slipway: Program;

before(async () => {
  slipway = program();
  for (const name of ['one', 'two']) {
    const dir = writeContext(slipway, { Dockerfile: `FROM scratch\nCOPY a /\nLABEL is=${name}\n`, a: name });
    await slipway.must(['build', '-q', '-t', `team/${name}:1`, dir]);
  }
});

after(() => slipway?.[Symbol.dispose]());

const at = (name: string) => join(slipway.dir, name);
const format = ['inspect', '-f', '{{.Config.Labels.is}} {{.RepoTags}}'];
const shown = async (place: string) => (await slipway.must([...format, place])).stdout.trim();
const copy = (from: string, to: string) => slipway.must(['image', 'copy', from, to]);

test('a tag of a layout is that of the image that was copied there last, for every tool', async () => {
  const layout = `oci:${at('layout')}`;
  await copy('team/one:1', `${layout}:v1`);
  await copy('team/one:1', `${layout}:v2`);
  await copy('team/two:1', `${layout}:v1`);
  assert.equal(await shown(`${layout}:v1`), 'two [team/two:v1]');
  assert.equal(await shown(`${layout}:v2`), 'one [team/one:v2]');
  const config = await must(['skopeo', 'inspect', '--config', `${layout}:v1`]);
  assert.equal(JSON.parse(config).config.Labels.is, 'two');
});

test('a copy in a file has the name that its source was asked by, not the others of the same image', async () => {
  await slipway.must(['tag', 'team/one:1', 'a.example/secret/name:9']);
  for (const kind of ['docker-archive', 'oci-archive']) {
    const place = `${kind}:${at(`${kind}.tar`)}`;
    await copy('team/one:1', place);
    assert.equal(await shown(place), 'one [team/one:1]');
  }
});

test('a tag in a layout is no name: what is read from there has none', async () => {
  const layout = `oci:${at('tag-only')}:v1`;
  await must(['skopeo', 'copy', '-q', '--insecure-policy', `docker-archive:${await saved()}`, layout]);
  assert.equal(await shown(layout), 'one []');
  await slipway.must(['save', '-o', at('from-layout.tar'), layout]);
  const [entry] = JSON.parse(await must(['tar', '-xOf', at('from-layout.tar'), 'manifest.json']));
  assert.equal(entry.RepoTags, null);
});

test('directories as skopeo and podman write them are loaded, unless a file is damaged', async () => {
  const dir = at('plain');
  await must(['skopeo', 'copy', '-q', '--insecure-policy', `docker-archive:${await saved()}`, `dir:${dir}`]);
  using other = program();
  const loaded = (await other.must(['load', '-i', dir])).stdout;
  const id = /^Loaded image ID: (sha256:[0-9a-f]{64})\n$/.exec(loaded)?.[1];
  assert.ok(id, loaded);
  assert.equal((await other.must(['inspect', '-f', '{{.Config.Labels.is}}', id])).stdout, 'one\n');
  const { layers } = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8'));
  writeFileSync(join(dir, layers[0].digest.slice('sha256:'.length)), 'x');
  using third = program();
  const refused = await third.run(['load', '-i', dir]);
  assert.deepEqual([refused.status, refused.stdout], [1, '']);
  assert.match(refused.stderr, /^error: the blob sha256:[0-9a-f]{64} is damaged/);
});

test('what Docker noted about how a base was made is not said of the image that is built on it', async () => {
  const config = JSON.stringify({
    ...{ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [] } },
    ...{ comment: 'Imported from -', docker_version: '1.2.3', container_config: { Cmd: ['x'] } },
    author: 'somebody',
  });
  const name = createHash('sha256').update(config).digest('hex');
  const entry = { Config: `${name}.json`, RepoTags: ['noted:1'], Layers: [] };
  const dir = writeContext(slipway, { 'manifest.json': JSON.stringify([entry]), [`${name}.json`]: config });
  await slipway.must(['load', '-i', dir]);
  await slipway.must(['tag', 'noted:1', 'noted:1']);
  const noted = ['inspect', '-f', '{{.Comment}}|{{.DockerVersion}}|{{.Author}}'];
  assert.equal((await slipway.must([...noted, 'noted:1'])).stdout, 'Imported from -|1.2.3|somebody\n');
  const context = writeContext(slipway, { Dockerfile: 'FROM noted:1\nCOPY a /\n', a: '' });
  const { configText } = await buildImage(slipway, [context]);
  const { comment, docker_version, container_config, author } = JSON.parse(configText);
  assert.deepEqual(
    [comment, docker_version, container_config, author],
    [undefined, undefined, undefined, 'somebody'],
  );
});

test('standard output that cannot be written is an error that says so', async () => {
  const bin = join(repoRoot, 'bin/slipway.js');
  const images = `"${process.execPath}" "$0" --root "${slipway.store}" images`;
  const full = await must(['bash', '-c', `${images} 2>&1 >/dev/full; echo $?`, bin]);
  assert.equal(full, 'error: standard output cannot be written: no space left on the device\n1\n');
});

async function saved(): Promise<string> {
  const file = at('saved.tar');
  await slipway.must(['save', '-o', file, 'team/one:1']);
  return file;
}
