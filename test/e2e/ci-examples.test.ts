// examples/ci, carried out: the shell commands of each pipeline, on machines that start empty, against a registry that
// asks for credentials. Only what a CI system puts in the place of its own variables is put there by the test.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts';
import { type RunningRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { writeContext } from '../support/images.ts';
import { type Ended, must, type Program, program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const login = { username: 'robot', password: 'secret' };
let bases: BaseRegistry;
let registry: RunningRegistry;
let proxy: CountingProxy;

before(async () => {
  bases = await startRegistry();
  registry = await startDockerRegistry({ htpasswd: login });
  proxy = await startCountingProxy(registry.host);
});

after(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  await bases?.stop();
});

async function readYaml(name: string): Promise<Record<string, unknown>> {
  const load = 'import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)';
  return JSON.parse(await must(['python3', '-c', load, join(repoRoot, 'examples/ci', name)]));
}

/** What a pipeline runs to push an image, and to try one out. */
interface Pipeline {
  readonly push: readonly string[];
  readonly attempt?: readonly string[];
  env(image: string, commit: string, machine: Program): Record<string, string>;
}

interface GithubStep {
  readonly run?: string;
  readonly if?: string;
}

async function github(): Promise<Pipeline> {
  const { jobs } = (await readYaml('github-actions.yml')) as { jobs: { image: { steps: GithubStep[] } } };
  const scripts = (event: string) =>
    jobs.image.steps.flatMap(step => (step.run && (!step.if || step.if.includes(event)) ? step.run : []));
  return {
    push: scripts('push'),
    attempt: scripts('pull_request'),
    env: (image, commit) => ({
      IMAGE: image,
      GITHUB_SHA: commit,
      NAME: login.username,
      TOKEN: login.password,
    }),
  };
}

async function gitlab(): Promise<Pipeline> {
  type Job = { script: string[]; before_script: string[] };
  const file = (await readYaml('gitlab-ci.yml')) as Record<'push-image' | 'try-image' | '.log-in', Job>;
  const { before_script } = file['.log-in'];
  return {
    push: [...before_script, ...file['push-image'].script],
    attempt: [...before_script, ...file['try-image'].script],
    env: (image, commit) => ({
      CI_REGISTRY: image.split('/')[0] ?? '',
      CI_REGISTRY_IMAGE: image,
      CI_REGISTRY_USER: login.username,
      CI_REGISTRY_PASSWORD: login.password,
      CI_COMMIT_SHA: commit,
    }),
  };
}

async function tekton(): Promise<Pipeline> {
  const { spec } = (await readYaml('tekton.yaml')) as {
    spec: { steps: { script: string; env: { name: string; value: string }[] }[] };
  };
  const [step] = spec.steps;
  assert.ok(step);
  return {
    push: [step.script],
    env(image, commit, machine) {
      const config = mkdtempSync(join(machine.dir, 'config-'));
      const auth = Buffer.from(`${login.username}:${login.password}`).toString('base64');
      writeFileSync(
        join(config, 'config.json'),
        JSON.stringify({ auths: { [image.split('/')[0] ?? '']: { auth } } }),
      );
      const given: Record<string, string> = {
        '$(params.image)': image,
        '$(params.revision)': commit,
        '$(workspaces.dockerconfig.path)': config,
        '$(results.digest.path)': join(machine.dir, 'digest'),
      };
      return Object.fromEntries(step.env.map(({ name, value }) => [name, given[value] ?? value]));
    },
  };
}

/** `npx --yes slipway` is this checkout. */
function commands(machine: Program): string {
  const dir = join(machine.dir, 'commands');
  mkdirSync(dir, { recursive: true });
  const npx = join(dir, 'npx');
  writeFileSync(
    npx,
    `#!/bin/sh\n[ "$1 $2" = "--yes slipway" ] || exit 99\nshift 2\nexec '${process.execPath}' '${join(repoRoot, 'bin/slipway.js')}' "$@"\n`,
  );
  chmodSync(npx, 0o755);
  return dir;
}

async function carryOut(scripts: readonly string[], machine: Program, env: Record<string, string>) {
  const context = writeContext(machine, {
    Dockerfile: `FROM busybox AS made
COPY source .
RUN --mount=type=cache,id=downloads,target=/d echo line >> /d/file && wc -l < /d/file > /count
FROM busybox
COPY --from=made /count /count
RUN date +%s%N > /when
`,
    source: 'one',
  });
  const all: Ended[] = [];
  for (const script of scripts) {
    const ended = await run(['sh', '-e', '-c', script], {
      cwd: context,
      env: {
        DOCKER_CONFIG: join(machine.dir, 'docker'),
        ...env,
        PATH: `${commands(machine)}:${process.env.PATH}`,
        SLIPWAY_ROOT: machine.store,
        CONTAINERS_REGISTRIES_CONF: bases.registriesConf,
      },
    });
    assert.equal(ended.status, 0, `${script}\n${ended.stdout}${ended.stderr}`);
    all.push(ended);
  }
  return all.map(({ stderr }) => stderr).join('');
}

const pipelines: Record<string, () => Promise<Pipeline>> = {
  'GitHub Actions': github,
  'GitLab CI': gitlab,
  Tekton: tekton,
};

for (const [name, load] of Object.entries(pipelines)) {
  test(`${name}: an empty machine with a warm cache executes nothing and downloads no layer`, async () => {
    const pipeline = await load();
    const image = `${proxy.host}/team/${name.toLowerCase().replaceAll(' ', '-')}`;
    using first = program();
    const cold = await carryOut(pipeline.push, first, pipeline.env(image, 'commit-1', first));
    assert.match(cold, /0 of 4 steps cached/);

    using second = program();
    proxy.take();
    const warm = await carryOut(pipeline.push, second, pipeline.env(image, 'commit-2', second));
    assert.match(warm, /4 of 4 steps cached/);
    assert.doesNotMatch(warm, /warning|importing cache mount|\[internal\] fetch/);
    const gets = proxy.take().filter(line => /^GET .*\/blobs\//.test(line));
    assert.equal(new Set(gets).size, 1, `the records alone are read: ${gets.join(', ')}`);
    if (name === 'Tekton') {
      assert.match(readFileSync(join(second.dir, 'digest'), 'utf8'), /^sha256:[0-9a-f]{64}\n$/);
    }

    if (!pipeline.attempt) return;
    using third = program();
    const tried = await carryOut(pipeline.attempt, third, pipeline.env(image, 'commit-3', third));
    assert.match(tried, /4 of 4 steps cached/);
    assert.deepEqual(
      proxy.take().filter(line => /^(?:PUT|POST|PATCH) /.test(line)),
      [],
      'an attempt writes nothing',
    );
  });
}

test('a step that is executed on an empty machine finds its cache mount filled', async () => {
  const pipeline = await github();
  const image = `${proxy.host}/team/mounts`;
  using first = program();
  await carryOut(pipeline.push, first, pipeline.env(image, 'commit-1', first));
  using second = program();
  const again = pipeline.push.map(script =>
    script.replace('--progress=plain', '--progress=plain --no-cache'),
  );
  const said = await carryOut(again, second, pipeline.env(image, 'commit-2', second));
  assert.match(said, /importing cache mount downloads from/);
});
