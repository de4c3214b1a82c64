// Command lines as scripts have them that call docker build.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Program, program } from '../support/program.ts';

function context(slipway: Program): string {
  const dir = join(slipway.dir, 'context');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
  return dir;
}

const accepted = [
  ['--rm=true', '--force-rm=true', '--no-cache=true', '--pull=false', '-t=app:1'],
  ['--provenance=false', '--sbom=false', '--attest=type=provenance,disabled=true', '--tag', 'app:1'],
  ['--push=false', '--load=false', '--squash=false', '-q=false', '--isolation=default', '-tapp:1'],
] as const;

describe("docker's command lines", () => {
  for (const flags of accepted) {
    test(`build ${flags.join(' ')}`, async () => {
      using slipway = program();
      await slipway.must(['build', ...flags, context(slipway)]);
      assert.match((await slipway.must(['images'])).stdout, /^app +1 /m);
    });
  }

  for (const name of ['buildx build', 'image build', 'builder build']) {
    test(name, async () => {
      using slipway = program();
      await slipway.must([...name.split(' '), '--load=false', '-t=app:1', context(slipway)]);
      assert.match((await slipway.must(['image', 'ls'])).stdout, /^app +1 /m);
      assert.match((await slipway.must(['builder', 'prune', '-af'])).stdout, /Total/);
    });
  }

  test('their names are known behind global flags too', async () => {
    using slipway = program();
    const root = join(slipway.dir, 'elsewhere');
    for (const global of [['--root', root], [`--root=${root}`], ['-D', '--root', root]])
      await slipway.must([...global, 'buildx', 'build', '-t=app:1', context(slipway)]);
    assert.match((await slipway.must(['--root', root, 'images'])).stdout, /^app +1 /m);
  });

  test('build --pull takes no policy unless it is written with =', async () => {
    using slipway = program();
    await slipway.must(['build', '-t', 'app', '--pull', context(slipway)]);
    assert.match((await slipway.must(['history', '-H', 'app'])).stdout, /COPY/);
  });

  test('-o type=local,mode=delete leaves nothing else in the directory, elsewhere only when that was allowed', async () => {
    using slipway = program();
    const cwd = context(slipway);
    const there = join(slipway.dir, 'there');
    for (const dir of ['here', '../there']) {
      mkdirSync(join(cwd, dir));
      writeFileSync(join(cwd, dir, 'stale'), '');
    }
    const to = (dest: string) => ['build', '-o', `type=local,dest=${dest},mode=delete`, '.'];
    await slipway.must(to('here'), { cwd });
    assert.deepEqual(readdirSync(join(cwd, 'here')), ['Dockerfile']);
    const refused = await slipway.run(to('../there'), { cwd });
    assert.equal(refused.status, 2);
    assert.match(
      refused.stderr,
      /error: mode=delete would delete what else is in .*\/there\n.*buildx\.local\.delete/,
    );
    assert.deepEqual(readdirSync(there), ['stale']);
    await slipway.must([...to('../there'), '--allow=buildx.local.delete'], { cwd });
    assert.deepEqual(readdirSync(there), ['Dockerfile']);
  });

  test('--no-cache=true executes again, --no-cache=false does not', async () => {
    using slipway = program();
    const dir = context(slipway);
    const cached = async (flag: string) =>
      /(\d) of 1 steps cached/.exec((await slipway.must(['build', flag, dir])).stderr)?.[1];
    assert.deepEqual(
      [await cached('--no-cache=false'), await cached('--no-cache=false'), await cached('--no-cache=true')],
      ['0', '1', '0'],
    );
  });

  for (const [flag, says] of [
    ['--provenance=mode=max', /--provenance: slipway makes no attestations/],
    ['--sbom', /--sbom: slipway makes no attestations/],
    ['--attest=type=sbom', /--attest type=sbom: slipway makes no attestations/],
    ['--rm=perhaps', /--rm=perhaps is neither true nor false/],
  ] as const) {
    test(`${flag} is refused before anything is built`, async () => {
      using slipway = program();
      const ended = await slipway.run(['build', flag, '-t', 'app', context(slipway)]);
      assert.notEqual(ended.status, 0);
      assert.match(ended.stderr, says);
      assert.doesNotMatch((await slipway.must(['images'])).stdout, /app/);
    });
  }
});
