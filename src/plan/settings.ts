// Instructions that change nothing but the config. Each gives the next state and its line in the image's history.
// https://docs.docker.com/reference/dockerfile/
import type {
  CmdInstruction,
  CommandForm,
  HealthcheckInstruction,
  KeyValue,
  ListInstruction,
  StageInstruction,
} from '../dockerfile/instructions.ts';
import { expandWords } from '../dockerfile/words.ts';
import { unreachable } from '../errors.ts';
import type { ContainerConfig } from '../image/config.ts';
import { declareArgs, withEnv } from './args.ts';
import { parsePorts } from './expose.ts';
import { formatDuration, quote, quoteList, quoteRune } from './go-format.ts';
import { at, invalid } from './problems.ts';
import { checkSignal } from './signals.ts';
import {
  expandText,
  joinPath,
  type StageContext,
  type StageState,
  setVariables,
  sortedObject,
  withConfig,
  workdirOf,
} from './state.ts';

export type SettingInstruction = Exclude<StageInstruction, { readonly kind: 'run' | 'copy' | 'add' }>;

export interface Setting {
  readonly state: StageState;
  /** Absent for ONBUILD, which leaves no entry. */
  readonly createdBy?: string;
}

const defaultShell = ['/bin/sh', '-c'];

/** Of one EXPOSE, repetitions counted: every port of every protocol twice. */
const maxPorts = 2 * 3 * 65536;

/** @throws BuildError `dockerfile` */
export function applySetting(line: SettingInstruction, state: StageState, context: StageContext): Setting {
  switch (line.kind) {
    case 'arg': {
      const { scope, createdBy } = declareArgs(state.scope, line, context.args);
      return { state: { ...state, scope }, createdBy };
    }
    case 'env':
      return applyEnv(line.pairs, state, context);
    case 'label': {
      const pairs = expandPairs(line.pairs, state, context);
      const Labels = sortedObject([...Object.entries(state.config.Labels ?? {}), ...pairs]);
      return changed(state, { Labels }, `LABEL ${joinPairs(pairs)}`);
    }
    case 'cmd':
    case 'entrypoint':
      return applyCommand(line, state);
    case 'healthcheck':
      return applyHealthcheck(line, state);
    case 'expose':
      return applyExpose(line, state, context);
    case 'volume': {
      const paths = line.items.map(item => expandText(item, state, context));
      if (paths.includes('')) throw invalid('a VOLUME needs a path', line.range);
      const Volumes = sortedObject([
        ...Object.entries(state.config.Volumes ?? {}),
        ...paths.map(path => [path, {}] as const),
      ]);
      return changed(state, { Volumes }, `VOLUME [${paths.join(' ')}]`);
    }
    case 'workdir':
      return applyWorkdir(expandText(line.value, state, context), state);
    case 'user': {
      const User = expandText(line.value, state, context);
      return changed(state, { User }, `USER ${User}`);
    }
    case 'stopsignal': {
      const StopSignal = expandText(line.value, state, context);
      checkSignal(StopSignal, line.value.range);
      return changed(state, { StopSignal }, `STOPSIGNAL ${StopSignal}`);
    }
    case 'maintainer': {
      const author = line.value.raw;
      return { state: { ...state, author }, createdBy: `MAINTAINER ${author}` };
    }
    case 'shell':
      return changed(state, { Shell: line.argv }, `SHELL [${line.argv.join(' ')}]`);
    case 'onbuild': {
      const OnBuild = [...(state.config.OnBuild ?? []), line.trigger];
      return { state: { ...state, config: withConfig(state.config, { OnBuild }) } };
    }
    default:
      return unreachable(line);
  }
}

function changed(
  state: StageState,
  changes: { readonly [Field in keyof ContainerConfig]?: ContainerConfig[Field] | undefined },
  createdBy: string,
): Setting {
  return { state: { ...state, config: withConfig(state.config, changes) }, createdBy };
}

/** A relative path is below the one before; an absolute one goes into the config as it was written. */
function applyWorkdir(written: string, state: StageState): Setting {
  const WorkingDir = written.startsWith('/') ? written : joinPath(workdirOf(state), written);
  return changed(state, { WorkingDir }, `WORKDIR ${WorkingDir}`);
}

/** All values are read before the first is set: `ENV a=1 b=$a` gives b the old a. */
function expandPairs(
  pairs: readonly KeyValue[],
  state: StageState,
  context: StageContext,
): (readonly [string, string])[] {
  return pairs.map(({ key, value }) => [expandText(key, state, context), expandText(value, state, context)]);
}

function joinPairs(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([key, value]) => `${key}=${value}`).join(' ');
}

function applyEnv(written: readonly KeyValue[], state: StageState, context: StageContext): Setting {
  const pairs = expandPairs(written, state, context);
  const Env = setVariables(state.config.Env ?? [], pairs);
  const next = { ...state, scope: withEnv(state.scope, pairs) };
  return changed(next, { Env }, `ENV ${joinPairs(pairs)}`);
}

/** The command as an engine starts it: a shell line goes through SHELL. */
export function commandLine(command: CommandForm, config: ContainerConfig): readonly string[] {
  if (command.form === 'exec') return command.argv;
  return [...(config.Shell?.length ? config.Shell : defaultShell), command.line];
}

/** ENTRYPOINT drops a CMD that this stage did not set itself: it belonged to the entrypoint before. */
function applyCommand(line: CmdInstruction, state: StageState): Setting {
  const argv = commandLine(line.command, state.config);
  if (line.kind === 'cmd') {
    const next = { ...state, hasCmd: true };
    return changed(next, { Cmd: argv, ArgsEscaped: true }, `CMD ${quoteList(argv)}`);
  }
  const changes = state.hasCmd ? { Entrypoint: argv } : { Entrypoint: argv, Cmd: undefined };
  return changed(state, changes, `ENTRYPOINT ${quoteList(argv)}`);
}

/** Replaces the whole check; what is not given is left to the engine. */
function applyHealthcheck(line: HealthcheckInstruction, state: StageState): Setting {
  const { command, interval = 0, timeout = 0, startPeriod = 0, startInterval = 0, retries = 0 } = line;
  const Test =
    command === undefined
      ? ['NONE']
      : command.form === 'shell'
        ? ['CMD-SHELL', command.line]
        : ['CMD', ...command.argv];
  const Healthcheck = {
    Test,
    ...(interval ? { Interval: interval } : {}),
    ...(timeout ? { Timeout: timeout } : {}),
    ...(startPeriod ? { StartPeriod: startPeriod } : {}),
    ...(startInterval ? { StartInterval: startInterval } : {}),
    ...(retries ? { Retries: retries } : {}),
  };
  const times = [interval, timeout, startPeriod, startInterval].map(time => quote(formatDuration(time)));
  const createdBy = `HEALTHCHECK &{${quoteList(Test)} ${times.join(' ')} ${quoteRune(retries)}}`;
  return changed(state, { Healthcheck }, createdBy);
}

function applyExpose(line: ListInstruction, state: StageState, context: StageContext): Setting {
  const ports: string[] = [];
  // BuildKit sorts the words as they are written, before they are expanded.
  const items = [...line.items].sort((a, b) => (a.raw < b.raw ? -1 : a.raw > b.raw ? 1 : 0));
  for (const item of items) {
    const { words } = at(item.range, () => expandWords(item.raw, state.scope.env, context.args.escape));
    for (const word of words) {
      for (const port of parsePorts(word, item.range)) ports.push(port);
      if (ports.length > maxPorts) throw invalid('EXPOSE names too many ports', item.range);
    }
  }
  const ExposedPorts = sortedObject([
    ...Object.entries(state.config.ExposedPorts ?? {}),
    ...ports.map(port => [port, {}] as const),
  ]);
  return changed(state, { ExposedPorts }, `EXPOSE [${ports.join(' ')}]`);
}
