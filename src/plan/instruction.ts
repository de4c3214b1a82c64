// One instruction: the state behind it and what is to be done.

import type { StageInstruction } from '../dockerfile/instructions.ts';
import { planCopy } from './copy.ts';
import { planRun } from './run.ts';
import { applySetting } from './settings.ts';
import { type StageContext, type StageState, workdirOf } from './state.ts';
import type { Step } from './steps.ts';

/**
 * Entries (variables, labels, ports, ...) summed over all steps. Each step carries its whole config, so this bounds
 * memory: a thousand instructions on top of a thousand variables are far below it.
 */
export const maxEntries = 5_000_000;

/** Making an object of many keys takes several times as long as copying the other entries. */
const perKey: Partial<Record<StageInstruction['kind'], number>> = { label: 5, expose: 5, volume: 5 };

/** Entries of one state, as dear as `line` makes them; without a line as they are. */
export function costOf({ scope, config }: StageState, line?: StageInstruction): number {
  const { Labels = {}, ExposedPorts = {}, Volumes = {}, OnBuild = [] } = config;
  const keys = [Labels, ExposedPorts, Volumes].reduce((sum, map) => sum + Object.keys(map).length, 0);
  const dear = (line && perKey[line.kind]) ?? 1;
  return 1 + scope.env.size + scope.args.length + dear * keys + OnBuild.length;
}

/** The members of a step that depend on the kind of instruction. */
export type Part<S = Step> = S extends Step
  ? Omit<S, 'id' | 'stage' | 'range' | 'display' | 'config'>
  : never;

export interface Planned {
  readonly state: StageState;
  /** Absent: nothing to do and no line in history. */
  readonly part?: Part;
}

/** @throws BuildError `dockerfile` */
export function planInstruction(line: StageInstruction, state: StageState, context: StageContext): Planned {
  switch (line.kind) {
    case 'run':
      return { state, part: planRun(line, state, context) };
    case 'copy':
    case 'add':
      return { state, part: planCopy(line, state, context) };
    default: {
      const { state: next, createdBy } = applySetting(line, state, context);
      if (createdBy === undefined) return { state: next };
      return { state: next, part: settingPart(line.kind, next, createdBy) };
    }
  }
}

/** WORKDIR makes a directory, unless it is the root; everything else is but a line in the config. */
function settingPart(kind: StageInstruction['kind'], state: StageState, createdBy: string): Part {
  const { author, config } = state;
  if (kind === 'workdir' && config.WorkingDir !== '/') {
    return { kind: 'workdir', path: workdirOf(state), user: config.User ?? '', createdBy };
  }
  return { kind: 'setting', createdBy, ...(author === undefined ? {} : { author }) };
}
