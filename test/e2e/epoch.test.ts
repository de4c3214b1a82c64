// SOURCE_DATE_EPOCH as the name of something that has a date. docs/dockerfile.md names these tests.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { commitAll, newRepository, startGitServer } from '../support/git-server.ts';
import { type BuiltImage, buildImage, writeContext } from '../support/images.ts';
import { must, type Program, program } from '../support/program.ts';
import { served } from '../support/web-server.ts';

let slipway: Program;

before(() => {
  slipway = program();
});

after(() => slipway?.[Symbol.dispose]());

const modified = 'Tue, 14 Nov 2023 22:13:20 GMT';
const modifiedSec = 1700000000;
const archivedSec = 1650000000;
const committedSec = 1600000000;

/** The label shows what an ARG of a stage sees, '-' when it is not set. */
const shows = 'FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL seen=${SOURCE_DATE_EPOCH--}\nCOPY f /f\n';

function assertDated(image: BuiltImage, seconds: number): void {
  const time = new Date(seconds * 1000).toISOString();
  assert.equal(image.created, time);
  assert.equal(image.config.Labels?.seen, String(seconds));
  assert.deepEqual([...new Set(image.history.map(entry => entry.created))], [time]);
}

/** Not set for the stage, and the user is told. */
function assertUndated(image: BuiltImage): void {
  assert.equal(image.config.Labels?.seen, '-');
  assert.match(image.stderr, /SOURCE_DATE_EPOCH has no effect: .* has no date of its own/);
}

/** An archive whose newest file is of `archivedSec`; a directory and a link are younger. */
async function archive(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const dir = writeContext(slipway, { ...files, 'dir/old': 'x' });
  await must(['ln', '-s', 'f', join(dir, 'link')]);
  await must(['touch', '-d', `@${archivedSec - 5}`, join(dir, 'dir/old')]);
  for (const name of Object.keys(files)) await must(['touch', '-d', `@${archivedSec}`, join(dir, name)]);
  await must(['tar', '-C', dir, '-czf', `${dir}.tgz`, '.']);
  return readFileSync(`${dir}.tgz`);
}

const asContext = ['--build-arg', 'SOURCE_DATE_EPOCH=context'];

test('SOURCE_DATE_EPOCH=context is the commit of a git context', async () => {
  const repositories = join(slipway.dir, 'repositories');
  const repository = newRepository(repositories, 'app');
  await must(['sh', '-c', `printf '%s' "$1" > "$0/Dockerfile"; echo x > "$0/f"`, repository, shows]);
  commitAll(repository, 'first');
  const server = await startGitServer(repositories);
  try {
    assertDated(await buildImage(slipway, [...asContext, `${server.url}/app`]), committedSec);
    const env = { SOURCE_DATE_EPOCH: 'context' };
    assertDated(await buildImage(slipway, [`${server.url}/app`], { env }), committedSec);
    const named = ['--build-context', `src=${server.url}/app`];
    const dir = writeContext(slipway, { Dockerfile: `ARG SOURCE_DATE_EPOCH=src\n${shows}`, f: '' });
    assertDated(await buildImage(slipway, [...named, dir]), committedSec);
  } finally {
    await server.close();
  }
});

test('SOURCE_DATE_EPOCH=context is what the server says of an http context, or else its newest file', async () => {
  const bytes = await archive({ Dockerfile: shows, f: '' });
  await served(
    (request, response) => {
      if (request.url === '/dated.tgz') response.setHeader('last-modified', modified);
      response.end(bytes);
    },
    async origin => {
      assertDated(await buildImage(slipway, [...asContext, `${origin}/dated.tgz`]), modifiedSec);
      assertDated(await buildImage(slipway, [...asContext, `${origin}/plain.tgz`]), archivedSec);
    },
  );
  assertDated(await buildImage(slipway, [...asContext, '-'], { input: bytes }), archivedSec);
});

test('SOURCE_DATE_EPOCH as the name of a directory or an image counts as not set, with a warning', async () => {
  const dir = writeContext(slipway, { Dockerfile: shows, f: '' });
  assertUndated(await buildImage(slipway, [...asContext, dir]));
  const inFile = writeContext(slipway, { Dockerfile: `ARG SOURCE_DATE_EPOCH=other\n${shows}`, f: '' });
  assertUndated(await buildImage(slipway, ['--build-context', `other=${dir}`, inFile]));
  assertUndated(await buildImage(slipway, ['--build-context', 'other=docker-image://unused', inFile]));
  const empty = ['--build-arg', 'SOURCE_DATE_EPOCH=', inFile];
  assert.equal((await buildImage(slipway, empty)).config.Labels?.seen, '-');
});

test('SOURCE_DATE_EPOCH as the name of a stage is the date of what that stage adds', async () => {
  const bytes = await archive({ f: 'x' });
  const stage = (add: string) =>
    writeContext(slipway, {
      Dockerfile: `ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS Src\nARG NAME=src\n${add}\n${shows}`,
      f: '',
    });
  const repositories = join(slipway.dir, 'added');
  commitAll(newRepository(repositories, 'lib'), 'first');
  const server = await startGitServer(repositories);
  try {
    await served(
      (request, response) => {
        if (request.url === '/src.tgz') response.setHeader('last-modified', modified);
        response.end(request.url === '/text' ? 'no archive' : bytes);
      },
      async origin => {
        const build = (add: string, ...args: string[]) => buildImage(slipway, [...args, stage(add)]);
        assertDated(await build(`ADD ${origin}/$NAME.tgz /`), modifiedSec);
        assertDated(await build(`ADD ${origin}/other.tgz /`), archivedSec);
        assertDated(await build(`ADD ${server.url}/lib /`), committedSec);
        assertUndated(await build(`ADD ${origin}/text /`));
        const given = ['--build-arg', 'SOURCE_DATE_EPOCH=7'];
        assertDated(await build(`ADD ${origin}/src.tgz /`, ...given), 7);
        const offline = await slipway.run(['build', '--offline', stage(`ADD ${origin}/text /`)]);
        assert.equal(offline.status, 1);
        assert.match(offline.stderr, /offline.*\n(?:.*\n)*.*\/text/);
      },
    );
  } finally {
    await server.close();
  }
});
