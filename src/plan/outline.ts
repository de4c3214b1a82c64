// The shape of a Dockerfile before any image is known: stages and where they begin, the target, the stages that it
// needs and the images to ask for.
// https://docs.docker.com/reference/dockerfile/#from, https://docs.docker.com/build/building/multi-stage/

import type { Dockerfile, FromInstruction, Stage } from '../dockerfile/instructions.ts';
import { didYouMean, suggest } from '../dockerfile/suggest.ts';
import { expandWord } from '../dockerfile/words.ts';
import { BuildError, printable } from '../errors.ts';
import { type Platform, parsePlatform } from '../image/platform.ts';
import { type GlobalScope, globalArgHint, globalScope } from './args.ts';
import { epochSource } from './epoch.ts';
import { findFaults, refuseUnreadable } from './faults.ts';
import { findContext, type PlanOptions } from './options.ts';
import type { OutlineStage } from './outline-stage.ts';
import { at, invalid, Problems } from './problems.ts';
import { findReach, refuseCycles } from './reach.ts';
import { contextSource, imageSource, resolveUse, type Source, type SourceScope, usesOf } from './sources.ts';
import type { BaseRequest, Origin } from './steps.ts';

export interface Outline extends SourceScope {
  readonly dockerfile: Dockerfile;
  readonly options: PlanOptions;
  readonly globals: GlobalScope;
  /** All of them, in file order. */
  readonly stages: readonly OutlineStage[];
  /** Index of the stage that becomes the image. */
  readonly target: number;
  /** The stages in reach, every one after those it needs; ONBUILD triggers of images can add to it. */
  readonly reach: readonly number[];
  /** Images of the stages in reach, each once, in the order in which they are first named. */
  readonly bases: readonly BaseRequest[];
  /** SOURCE_DATE_EPOCH from a build arg or an ARG before the first FROM, in seconds; absent also while it is a name. */
  readonly sourceDateEpoch?: number;
}

/**
 * @throws BuildError `dockerfile` with everything that is wrong with FROM lines and `--from`, and with what the parser
 *   found; `not-found` for a missing target
 */
export function makeOutline(dockerfile: Dockerfile, options: PlanOptions): Outline {
  refuseUnreadable(dockerfile, options);
  refuseEmpty(dockerfile);
  const globals = globalScope(dockerfile, options);
  const problems = new Problems();
  const names = new Map<string, number>();
  const stages: OutlineStage[] = [];
  for (const stage of dockerfile.stages) {
    const found = problems.attempt(() =>
      outlineStage(stage, { dockerfile, options, globals, names, stages }),
    );
    if (found !== undefined) stages.push(found);
    if (stage.name !== undefined) names.set(stage.name.toLowerCase(), stage.index);
  }
  const scope: SourceScope = { options, names, stageCount: dockerfile.stages.length };
  for (const line of stages.flatMap(stage => stage.instructions)) {
    for (const use of usesOf(line)) problems.attempt(() => resolveUse(use, scope));
  }
  // A file that is refused is told all of it, also what is wrong with stages that may not be needed.
  if (!problems.isEmpty) problems.add(findFaults(dockerfile, options));
  problems.throwIfAny();
  const target = findTarget(options.target, stages, names);
  refuseCycles(stages, scope);
  const epoch = epochSource(dockerfile, globals, options);
  const base = { ...scope, dockerfile, options, globals, stages, target };
  const reach = findReach(base, new Map());
  problems.add(findFaults(dockerfile, options, new Set(reach.order)));
  problems.throwIfAny();
  return {
    ...base,
    reach: reach.order,
    bases: reach.bases,
    ...(epoch?.kind === 'seconds' ? { sourceDateEpoch: epoch.seconds } : {}),
  };
}

function refuseEmpty(dockerfile: Dockerfile): void {
  if (dockerfile.stages.length === 0) {
    throw new BuildError('dockerfile', `${printable(dockerfile.file.name)} has no stage to build`, {
      hint: 'start with FROM, for example FROM scratch',
    });
  }
}

interface Surroundings {
  readonly dockerfile: Dockerfile;
  readonly options: PlanOptions;
  readonly globals: GlobalScope;
  /** Names of the stages above. */
  readonly names: ReadonlyMap<string, number>;
  readonly stages: readonly OutlineStage[];
}

function outlineStage(stage: Stage, around: Surroundings): OutlineStage {
  const { options, names } = around;
  const { from, index, name } = stage;
  const baseName = expandBaseName(from, around);
  const asked = from.platform === undefined ? undefined : expandPlatform(from, around);
  const platform = asked ?? options.platform;
  const common = { index, label: name ?? `stage-${index}`, from, baseName, ...(name ? { name } : {}) };
  const standIn = name === undefined ? undefined : findContext(options, name, platform);
  if (standIn !== undefined) {
    const source = contextSource(standIn, platform, from.image.range, names);
    return { ...common, ...source, platform, replaced: true, instructions: [] };
  }
  const source = findBase(baseName, platform, around, from);
  return {
    ...common,
    ...source,
    platform: platformOf(source.origin, platform, around),
    replaced: false,
    instructions: stage.instructions,
  };
}

/** `scratch` is for the target; a stage on a stage has its platform. */
function platformOf(origin: Origin, asked: Platform, around: Surroundings): Platform {
  if (origin.kind === 'scratch') return around.options.platform;
  return origin.kind === 'stage' ? (around.stages[origin.stage]?.platform ?? asked) : asked;
}

function findBase(name: string, platform: Platform, around: Surroundings, from: FromInstruction): Source {
  const { options, names } = around;
  const { range } = from.image;
  const stage = names.get(name);
  if (stage !== undefined) return { origin: { kind: 'stage', stage } };
  if (name === 'scratch') return { origin: { kind: 'scratch' } };
  const context = findContext(options, name, platform);
  if (context !== undefined) return contextSource(context, platform, range, names);
  if (names.has(name.toLowerCase())) {
    throw invalid(`"${printable(name)}" is no image reference: a repository name must be lower case`, range, {
      hint: `did you mean the stage ${name.toLowerCase()}?`,
    });
  }
  return imageSource(name, platform, range);
}

function expandBaseName(from: FromInstruction, { dockerfile, globals }: Surroundings): string {
  const { raw, range } = from.image;
  const found = at(range, () => expandWord(raw, globals.values, dockerfile.directives.escape));
  if (found.value !== '') return found.value;
  const hint = globalArgHint(found.undefined, globals);
  throw invalid(`the base name (${printable(raw)}) is empty`, range, hint === undefined ? {} : { hint });
}

function expandPlatform(from: FromInstruction, { dockerfile, globals }: Surroundings): Platform {
  const { raw, range } = from.platform ?? from.image;
  const found = at(range, () => expandWord(raw, globals.values, dockerfile.directives.escape));
  const hint = globalArgHint(found.undefined, globals);
  const details = hint === undefined ? {} : { hint };
  if (found.value === '') throw invalid(`the platform (${printable(raw)}) is empty`, range, details);
  try {
    return parsePlatform(found.value);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    throw invalid(error.message, range, { cause: error, hint: hint ?? error.hint ?? '' });
  }
}

function findTarget(
  wanted: string | undefined,
  stages: readonly OutlineStage[],
  names: ReadonlyMap<string, number>,
): number {
  if (wanted === undefined || wanted === '') return stages.length - 1;
  const named = names.get(wanted.toLowerCase());
  if (named !== undefined) return named;
  if (/^\d+$/.test(wanted) && Number(wanted) < stages.length) return Number(wanted);
  const known = [...names.keys()];
  const near = didYouMean(wanted, known);
  throw new BuildError('not-found', `target stage "${printable(wanted)}" could not be found`, {
    hint:
      near ?? (known.length > 0 ? `the stages are ${known.join(', ')}` : 'no stage of this file has a name'),
    facts: { target: wanted },
  });
}

const wellKnown = [
  'alpine',
  'busybox',
  'centos',
  'debian',
  'golang',
  'ubuntu',
  'fedora',
  'node',
  'python',
  'nginx',
];

/** A hint for an image that was not found: a stage or a well-known image whose name is close to it. */
export function baseHint(reference: string, outline: Outline): string | undefined {
  const [name = reference] = reference.split(':', 1);
  const found = suggest(name, [...outline.names.keys(), ...wellKnown]);
  return found === undefined ? undefined : `did you mean ${found}?`;
}
