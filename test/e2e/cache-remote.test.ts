// Results that travel: --cache-to and --cache-from through the real command line and a real registry.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts';
import { type RunningRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { writeContext } from '../support/images.ts';
import { type Ended, type Program, program } from '../support/program.ts';

let bases: BaseRegistry;
let registry: RunningRegistry;
let proxy: CountingProxy;
before(async () => {
  bases = await startRegistry();
  registry = await startDockerRegistry();
  proxy = await startCountingProxy(registry.host);
});
after(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  await bases?.stop();
});

/** An empty machine. */
function machine(): Program {
  return program({ CONTAINERS_REGISTRIES_CONF: bases.registriesConf });
}

const twoStages = `FROM busybox AS made
WORKDIR /src
COPY a .
RUN date +%s%N > made && cat a >> made
FROM busybox
RUN date +%s%N > /first
COPY --from=made /src/made /made
RUN date +%s%N > /last
`;

function project(slipway: Program, dockerfile = twoStages, a = 'one'): string {
  return writeContext(slipway, { Dockerfile: dockerfile, a });
}

async function built(slipway: Program, ...args: string[]): Promise<Ended> {
  return slipway.must(['build', '--progress=plain', ...args]);
}

const cachedOf = (ended: Ended) => /(\d+ of \d+) steps cached/.exec(ended.stderr)?.[1];

/** Blobs that were fetched from a repository. */
const fetched = (asked: readonly string[]) =>
  asked.filter(line => /^GET \/v2\/.*\/blobs\/sha256:/.test(line)).map(line => line.slice(-64));

describe('a cache in a registry', () => {
  it('lets an empty machine execute nothing and download no layer that a push does not need', async () => {
    using warm = machine();
    using empty = machine();
    const cache = `type=registry,ref=${proxy.host}/team/cache:main`;
    const dir = project(warm);
    const first = await built(
      warm,
      '-t',
      `${proxy.host}/team/app:1`,
      '--push',
      '--cache-to',
      `${cache},mode=max`,
      dir,
    );
    assert.equal(cachedOf(first), '0 of 6');
    proxy.take();
    const second = await built(empty, '-t', `${proxy.host}/team/app:2`, '--push', '--cache-from', cache, dir);
    assert.equal(cachedOf(second), '6 of 6', second.stderr);
    const gets = fetched(proxy.take());
    const config = await manifestOf('team/cache', 'main');
    assert.deepEqual(gets, [config.config.digest.slice(7)], 'nothing but the records is read');
    const [one, two] = [await manifestOf('team/app', '1'), await manifestOf('team/app', '2')];
    assert.deepEqual(two, one, 'the same image');
  });
});

interface ManifestJson {
  readonly config: { readonly digest: string; readonly mediaType: string };
  readonly layers: readonly { readonly digest: string; readonly mediaType: string; readonly size: number }[];
  readonly artifactType?: string;
}

async function manifestOf(repository: string, tag: string): Promise<ManifestJson> {
  const answer = await fetch(`http://${registry.host}/v2/${repository}/manifests/${tag}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  assert.equal(answer.status, 200, `${repository}:${tag}`);
  return (await answer.json()) as ManifestJson;
}
