// RUN: the command with its shell, environment, mounts and limits. https://docs.docker.com/reference/dockerfile/#run

import type { CommandForm, MountFlag, RunInstruction, Text } from '../dockerfile/instructions.ts';
import { type ResolvedMount, resolveMount } from '../dockerfile/resolve-mount.ts';
import { didYouMean } from '../dockerfile/suggest.ts';
import { expandWord } from '../dockerfile/words.ts';
import { BuildError, printable } from '../errors.ts';
import { hiddenEnv, historyArgs } from './args.ts';
import { isOnlyHeredoc } from './display.ts';
import { invalid } from './problems.ts';
import { commandLine } from './settings.ts';
import { resolveUse } from './sources.ts';
import { type StageContext, type StageState, workdirOf } from './state.ts';
import type { InlineFile, MountSpec, Origin, RunStep } from './steps.ts';

/** What is special about a RUN step. */
export type RunPart = Omit<RunStep, 'id' | 'stage' | 'range' | 'display' | 'config'>;

const networks = ['default', 'none', 'host'] as const;
const securities = ['sandbox', 'insecure'] as const;

/** @throws BuildError `dockerfile` */
export function planRun(line: RunInstruction, state: StageState, context: StageContext): RunPart {
  const { command, script } = withHeredocs(line.command);
  const argv = commandLine(command, state.config);
  const mounts = planMounts(line, state, context);
  const network = oneOf(networks, line.network, '--network') ?? 'default';
  const security = oneOf(securities, line.security, '--security') ?? 'sandbox';
  return {
    kind: 'run',
    argv,
    ...(script === undefined ? {} : { script }),
    env: [...state.scope.env].map(([name, value]) => `${name}=${value}`),
    hiddenEnv: hiddenEnv(state.scope, context.args.buildArgs),
    workdir: workdirOf(state),
    user: state.config.User ?? '',
    mounts,
    network,
    security,
    devices: line.devices.map(({ name, required }) => ({ name, required })),
    ...hostnameOf(context),
    createdBy: `RUN ${[...historyArgs(state.scope), ...argv].join(' ')} # buildkit`,
  };
}

/** @throws BuildError `usage` for a name that no machine can have */
function hostnameOf({ args }: StageContext): { hostname?: string } {
  const hostname = args.buildArgs.get('BUILDKIT_SANDBOX_HOSTNAME') ?? '';
  if (hostname === '') return {};
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(hostname)) return { hostname };
  throw new BuildError('usage', `BUILDKIT_SANDBOX_HOSTNAME=${printable(hostname)} is not a host name`);
}

/**
 * A heredoc alone is the command itself: a file to execute when it starts with `#!`, else lines for the shell. Next to
 * other words it is the shell's business and put back behind the line.
 */
function withHeredocs(command: CommandForm): { command: CommandForm; script?: InlineFile } {
  if (command.form === 'exec') return { command };
  const [only] = command.heredocs;
  if (only === undefined) return { command };
  if (isOnlyHeredoc(command.line)) {
    // Behind the tabs of `<<-` it is a comment for the shell, as in BuildKit.
    if (!(only.verbatim ?? only.body).startsWith('#!')) return { command: shellLine(only.body) };
    const script = { name: only.name, text: only.body };
    return { command: shellLine(`/dev/pipes/${only.name}`), script };
  }
  const bodies = command.heredocs.map(doc => `\n${doc.verbatim ?? doc.body}${doc.name}`);
  return { command: shellLine(command.line + bodies.join('')) };
}

function shellLine(line: string): CommandForm {
  return { form: 'shell', line, heredocs: [] };
}

function oneOf<T extends string>(
  allowed: readonly T[],
  value: Text | undefined,
  flag: string,
): T | undefined {
  if (value === undefined || value.raw === '') return undefined;
  const found = allowed.find(word => word === value.raw);
  if (found !== undefined) return found;
  throw invalid(`${flag} can not be ${printable(value.raw)}`, value.range, {
    hint: didYouMean(value.raw, allowed) ?? `it is one of ${allowed.join(', ')}`,
  });
}

function planMounts(line: RunInstruction, state: StageState, context: StageContext): MountSpec[] {
  const { env } = state.scope;
  const expand = (raw: string) => expandWord(raw, env, context.args.escape).value;
  const workdir = workdirOf(state);
  let sshMounts = 0;
  return line.mounts.map(flag => {
    const result = resolveMount(flag, expand, { workdir });
    if ('problem' in result) throw asError(result.problem);
    const { mount } = result;
    if (mount.type !== 'ssh') return specOf(mount, flag, context);
    const n = sshMounts++;
    return { ...mount, target: mount.target ?? `/run/buildkit/ssh_agent.${n}` };
  });
}

function asError(
  problem: Extract<ReturnType<typeof resolveMount>, { problem: unknown }>['problem'],
): BuildError {
  const { message, hint, range } = problem;
  return new BuildError('dockerfile', message, {
    ...(hint === undefined ? {} : { hint }),
    ...(range === undefined ? {} : { range }),
  });
}

function specOf(
  mount: Exclude<ResolvedMount, { type: 'ssh' }>,
  flag: MountFlag,
  context: StageContext,
): MountSpec {
  if (mount.type === 'bind') {
    const { from, ...rest } = mount;
    return { ...rest, from: originOf(from, flag, context) ?? { kind: 'context' } };
  }
  if (mount.type === 'cache') {
    const { from, id, ...rest } = mount;
    const namespace = context.args.buildArgs.get('BUILDKIT_CACHE_MOUNT_NS');
    return {
      ...rest,
      id: namespace ? `${namespace}/${id}` : id,
      from: originOf(from, flag, context) ?? { kind: 'scratch' },
    };
  }
  return mount;
}

function originOf(from: string | undefined, flag: MountFlag, context: StageContext): Origin | undefined {
  if (from === undefined) return undefined;
  return resolveUse({ from, allowsIndex: false, range: flag.text.range }, context.sources).origin;
}
