// RUN: the layers below become a snapshot, the command runs on it in the sandbox, what it changed becomes a layer.
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { runKey } from '../../cache/key.ts';
import { BuildError } from '../../errors.ts';
import type { LayerId } from '../../layer/layers.ts';
import type { RunStep } from '../../plan/steps.ts';
import { defaultHostname } from '../../sandbox/defaults.ts';
import type { SandboxRequest, SandboxResult } from '../../sandbox/sandbox.ts';
import { resolveUser } from '../../sandbox/users.ts';
import { trimUpper } from '../../snapshot/trim.ts';
import type { TreeIngest } from '../../store/store.ts';
import { filesBelow } from './image-user.ts';
import { mountInputs, openMounts } from './mounts.ts';
import { OutputTail } from './output-tail.ts';
import { deviceParts, settingParts } from './run-settings.ts';
import type { PreparedStep, StepScope } from './step.ts';
import { giveTo } from './volumes.ts';

export async function prepareRun(step: RunStep, scope: StepScope): Promise<PreparedStep> {
  refuseForbidden(step, scope);
  const inputs = await mountInputs(step, scope);
  return {
    recipe: runKey(scope.state, step, inputs, {
      platform: scope.stage.platform,
      network: networkOf(step, scope),
      extraHosts: scope.request.extraHosts,
      asked: [...settingParts(scope.request.run), ...deviceParts(scope.devices)],
    }),
    execute: () => execute(step, scope),
  };
}

function refuseForbidden(step: RunStep, scope: StepScope): void {
  const { allow } = scope.request;
  if (step.security === 'insecure' && !allow.has('security.insecure')) {
    throw new BuildError('usage', 'RUN --security=insecure was not allowed', {
      hint: 'pass --allow security.insecure',
    });
  }
  const { network } = scope.request;
  const isTaken = network === 'none' || network === 'private';
  if (step.network === 'host' && isTaken && !allow.has('network.host')) {
    throw new BuildError('usage', `RUN --network=host was not allowed in a build with --network=${network}`, {
      hint: 'pass --allow network.host',
    });
  }
}

function networkOf(step: RunStep, scope: StepScope): SandboxRequest['network'] {
  const asked = step.network === 'default' ? scope.request.network : step.network;
  return asked === 'default' ? 'host' : asked;
}

async function execute(step: RunStep, scope: StepScope): Promise<LayerId | null> {
  const { tools, signal } = scope;
  const sandbox = await tools.sandbox();
  const driver = await tools.snapshots();
  const lowers = await tools.layers.trees(scope.layers, signal);
  await using ingest = await tools.store.trees.begin();
  const snapshot = await driver.mount(lowers, ingest.fs, ingest.dir);
  try {
    const { devices } = scope;
    await using mounts = await openMounts(step, scope, driver, sandbox);
    const tail = new OutputTail();
    const user = resolveUser(step.user, filesBelow(snapshot.root));
    for (const path of mounts.toGive) giveTo(path, user);
    const show = (stream: 'stdout' | 'stderr', data: Buffer) => {
      if (data.length === 0) return;
      tail.add(data);
      tools.emit({ kind: 'output', id: step.id, stream, data, atMs: tools.now() });
    };
    const result = await sandbox.run({
      rootfs: snapshot.root,
      argv: step.argv,
      env: environment(step, user.home, [...(devices?.env ?? []), ...mounts.env]),
      cwd: step.workdir,
      uid: user.uid,
      gid: user.gid,
      groups: [...user.groups, ...(devices?.groups ?? []).map(({ id }) => id)],
      hostname: step.hostname ?? defaultHostname,
      network: networkOf(step, scope),
      security: step.security,
      mounts: mounts.mounts,
      volatile: mounts.volatile,
      extraHosts: scope.request.extraHosts.map(([name, ip]) => [ip, name] as const),
      signal,
      ...scope.request.run,
      ...(devices === undefined ? {} : { cdi: devices }),
      onMovedAndBack: path => snapshot.movedAndBack?.(path),
      onOutput: (stream, chunk) => show(stream, mounts.mask(stream, chunk)),
    });
    for (const stream of ['stdout', 'stderr'] as const) show(stream, mounts.maskedRest(stream));
    refuseFailure(result, step, tail);
  } finally {
    await snapshot.close();
  }
  // Awaited here: the tree must be kept before what is left of it is disposed of.
  return await keep(ingest, lowers, scope);
}

async function keep(
  ingest: TreeIngest,
  lowers: readonly string[],
  scope: StepScope,
): Promise<LayerId | null> {
  trimUpper(ingest.fs, lowers);
  if (readdirSync(ingest.fs).length === 0) return null;
  const id = randomUUID();
  await ingest.commit(id);
  return scope.tools.layers.fromTree(id);
}

/**
 * HOME from the image's passwd and the hostname unless somebody says otherwise; of two values the later one counts. An
 * empty HOME counts as none, as with runtimes.
 */
function environment(step: RunStep, home: string, extra: readonly string[]): string[] {
  const values = new Map([
    ['HOME', home],
    ['HOSTNAME', step.hostname ?? defaultHostname],
  ]);
  for (const entry of [...step.env, ...step.hiddenEnv, ...extra]) {
    const at = entry.indexOf('=');
    const name = entry.slice(0, at);
    values.delete(name);
    values.set(name, entry.slice(at + 1));
  }
  if (values.get('HOME') === '') values.set('HOME', home);
  return [...values].map(([name, value]) => `${name}=${value}`);
}

function refuseFailure(result: SandboxResult, step: RunStep, tail: OutputTail): void {
  if (result.kind === 'exited' && result.status === 0) return;
  const command = step.argv.join(' ');
  const shown = command.length > 200 ? `${command.slice(0, 197)}...` : command;
  const how =
    result.kind === 'signalled' ? `was killed by ${result.signal}` : `ended with status ${result.status}`;
  const facts = result.kind === 'signalled' ? { signal: result.signal } : { exitCode: result.status };
  if (result.ranOutOfMemory) {
    throw new BuildError(
      'run',
      `the command ${how}, having used more memory than --memory allows: ${shown}`,
      {
        output: tail.lines(),
        facts: { ...facts, outOfMemory: true },
        hint: 'give it more with --memory',
      },
    );
  }
  const perhaps = result.kind === 'signalled' && result.signal === 'SIGKILL' ? ' (out of memory?)' : '';
  const hint = result.kind === 'exited' ? hintFor(result.status) : undefined;
  throw new BuildError('run', `the command ${how}${perhaps}: ${shown}`, {
    output: tail.lines(),
    facts,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Shells and runtimes add 128 to the number of a signal. */
function hintFor(status: number): string | undefined {
  if (status === 127) return 'status 127 means that a command was not found in the image';
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128)?.[0];
  if (signal === undefined) return undefined;
  return `status ${status} usually means that ${signal} ended it${signal === 'SIGKILL' ? ': out of memory?' : ''}`;
}
