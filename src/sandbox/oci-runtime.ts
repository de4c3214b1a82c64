// The strongest rung: an OCI runtime (runc or crun) found on this machine runs the step.
// setpriv and unshare around it see to it that nothing survives: when this process goes, however it goes, the first
// process of the outer pid namespace is killed, and the kernel ends everything in it.
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import { runProgram } from '../host/process.ts';
import { cgroupPlaces, hasUnifiedCgroups, mostOpenFiles } from './machine.ts';
import { type Prepared, prepareRun } from './prepare.ts';
import type { Sandbox, SandboxRequest, SandboxResult } from './sandbox.ts';
import { runtimeSpec, type SpecMount } from './spec.ts';

export interface OciOptions {
  /** Full path of the runtime. */
  readonly program: string;
  readonly name: 'runc' | 'crun';
  /** As it says itself: `1.1.5`. */
  readonly version: string;
}

let count = 0;

/** A sandbox that runs each step through an OCI runtime. */
export function ociSandbox(options: OciOptions): Sandbox {
  return {
    name: 'oci',
    description: `${options.name} ${options.version}`,
    run: request => runStep(request, options),
  };
}

async function runStep(request: SandboxRequest, options: OciOptions): Promise<SandboxResult> {
  request.signal.throwIfAborted();
  const id = `slipway-${process.pid}-${count++}`;
  const prepared = prepareRun(request);
  try {
    writeBundle(request, prepared, id);
    const log = join(prepared.dir, 'log');
    const end = await runProgram(commandLine(options, prepared.dir, id, log), {
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      signal: request.signal,
      onOutput: (stream, chunk) => request.onOutput(stream, chunk),
    });
    throwStartFailure(log, options);
    if (end.status !== undefined) return { kind: 'exited', status: end.status };
    return { kind: 'signalled', signal: end.signal ?? 'SIGKILL' };
  } finally {
    prepared.remove();
    removeCgroups(id);
  }
}

function commandLine(options: OciOptions, dir: string, id: string, log: string): readonly string[] {
  return [
    ...['setpriv', '--pdeathsig', 'KILL', '--'],
    ...['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', '--'],
    ...[options.program, '--root', join(dir, 'state'), '--log', log, '--log-format', 'json'],
    ...['run', '--bundle', dir, id],
  ];
}

function writeBundle(request: SandboxRequest, prepared: Prepared, id: string): void {
  const mounts: SpecMount[] = prepared.mounts.map(mount => {
    const access = mount.readonly ? 'ro' : 'rw';
    if (mount.kind === 'tmpfs') {
      const size = mount.size === undefined ? [] : [`size=${mount.size}`];
      const options = ['nosuid', 'nodev', 'mode=1777', access, ...size];
      return { destination: mount.target, type: 'tmpfs', source: 'tmpfs', options };
    }
    const options = ['rbind', 'rprivate', 'nosuid', 'nodev', access];
    return { destination: mount.target, type: 'bind', source: mount.source ?? '', options };
  });
  const spec = runtimeSpec(request, {
    mounts,
    openFiles: mostOpenFiles(),
    cgroupsPath: `/${id}`,
    cgroup2: hasUnifiedCgroups(),
    deviceCgroup: true,
  });
  mkdirSync(join(prepared.dir, 'state'), { mode: 0o700 });
  writeFileSync(join(prepared.dir, 'config.json'), JSON.stringify(spec), { mode: 0o600 });
}

/** The runtime writes what went wrong before the command was started into its log; the command cannot. */
function throwStartFailure(log: string, options: OciOptions): void {
  const message = logLines(log).findLast(line => line.level === 'error' || line.level === 'fatal')?.msg;
  if (message === undefined) return;
  const notFound = /(?:executable file|exec(?:vp)?:?) [`"]?([^`":]+)[`"]?.*(not found|no such file)/i.exec(
    message,
  );
  if (notFound !== null || /executable file .*not found|no such file or directory/i.test(message)) {
    throw new BuildError('run', `the command cannot be started: ${message}`, { facts: { status: 127 } });
  }
  throw new BuildError('sandbox', `${options.name} could not start the command: ${message}`, {
    hint: 'slipway info shows which other sandboxes work here; --isolation chooses one',
  });
}

function logLines(log: string): readonly { level?: string; msg?: string }[] {
  let text: string;
  try {
    text = readFileSync(log, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as { level?: string; msg?: string }];
    } catch {
      return [];
    }
  });
}

/** A runtime that was killed has left its cgroups, all empty now. */
function removeCgroups(id: string): void {
  for (const place of cgroupPlaces()) {
    try {
      rmdirSync(join(place, id));
    } catch {
      // the runtime has removed it, or never made it
    }
  }
}
