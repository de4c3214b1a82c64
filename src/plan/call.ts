// What `--call outline` and `--call targets` tell: the build args, secrets and ssh agents that a target uses, and the
// stages that may be built. https://docs.docker.com/reference/cli/docker/buildx/build/#call

import type { ArgInstruction, Dockerfile } from '../dockerfile/instructions.ts';
import { expandWord } from '../dockerfile/words.ts';
import type { SourceRange } from '../errors.ts';
import { emptyConfig } from '../image/config.ts';
import type { DeclaredArg, StageScope } from './args.ts';
import { planStages } from './graph.ts';
import type { Outline } from './outline.ts';
import type { OutlineStage } from './outline-stage.ts';
import { type BaseConfigs, missingBases } from './reach.ts';
import type { PlannedStage } from './steps.ts';

interface Location {
  readonly ranges: readonly { readonly start: { line: number }; readonly end: { line: number } }[];
}

export interface OutlineArg {
  readonly name: string;
  readonly description?: string;
  readonly value?: string;
  readonly location: Location;
}

export interface OutlineSecret {
  readonly name: string;
  readonly required?: true;
  readonly location: Location;
}

/** JSON of `--call outline,format=json`; lists that would be empty are absent. */
export interface OutlineCall {
  readonly name?: string;
  readonly description?: string;
  readonly args?: readonly OutlineArg[];
  readonly secrets?: readonly OutlineSecret[];
  readonly ssh?: readonly OutlineSecret[];
  readonly sources: readonly string[];
}

export interface TargetEntry {
  readonly name?: string;
  readonly default?: true;
  readonly description?: string;
  readonly base: string;
  readonly platform?: string;
  readonly location: Location;
}

/** JSON of `--call targets,format=json`. */
export interface TargetsCall {
  readonly targets: readonly TargetEntry[];
  /** The Dockerfile in base64. */
  readonly sources: readonly string[];
}

function locationOf({ start, end }: SourceRange): Location {
  return { ranges: [{ start: { line: start.line }, end: { line: end.line } }] };
}

function sourcesOf(dockerfile: Dockerfile): string[] {
  return [Buffer.from(dockerfile.file.text, 'utf8').toString('base64')];
}

/** `# name what it is` right above: what it is. */
function descriptionOf(name: string, comments: readonly string[]): { description?: string } {
  const comment = comments.at(-1)?.trim() ?? '';
  const [first = '', ...words] = comment.split(' ');
  const description = words.join(' ').trim();
  return first === name && description !== '' ? { description } : {};
}

/** Needs no images: the list is of what is written. */
export function listTargets(dockerfile: Dockerfile): TargetsCall {
  const targets = dockerfile.stages.map(
    ({ index, name, from }): TargetEntry => ({
      ...(name === undefined ? {} : { name }),
      ...(index === dockerfile.stages.length - 1 ? { default: true } : {}),
      ...descriptionOf(name ?? '', from.comments),
      base: from.image.raw,
      ...(from.platform === undefined ? {} : { platform: from.platform.raw }),
      location: locationOf(from.range),
    }),
  );
  return { targets, sources: sourcesOf(dockerfile) };
}

/**
 * What the target and the stages that it needs ask for, by place in the file.
 * @param baseConfigs images without one are taken to set no variables and to have no ONBUILD triggers
 * @throws BuildError `dockerfile` as makeGraph does
 */
export function describeOutline(outline: Outline, baseConfigs: BaseConfigs = new Map()): OutlineCall {
  const { dockerfile } = outline;
  const configs = new Map(baseConfigs);
  for (const { id, platform } of missingBases(outline, configs)) configs.set(id, emptyConfig(platform));
  const { graph, scopes } = planStages(outline, configs);
  const target = outline.stages[outline.target];
  const args = argsInReach(outline, graph.stages, scopes);
  const { secrets, ssh } = mountsInReach(outline, graph.stages);
  return {
    ...(target?.name === undefined ? {} : { name: target.name }),
    ...descriptionOf(target?.name ?? '', target?.from.comments ?? []),
    ...(args.length === 0 ? {} : { args }),
    ...(secrets.length === 0 ? {} : { secrets }),
    ...(ssh.length === 0 ? {} : { ssh }),
    sources: sourcesOf(dockerfile),
  };
}

/** Of an arg declared in several places the last counts; one before FROM is listed when something uses it. */
function argsInReach(
  outline: Outline,
  stages: readonly PlannedStage[],
  scopes: ReadonlyMap<number, StageScope>,
): OutlineArg[] {
  const found = new Map<string, OutlineArg>();
  const reached = new Set(stages.map(stage => stage.index));
  const used = usedGlobals(outline, reached);
  for (const { name, value, line } of outline.globals.declared) {
    if (used.has(name)) found.set(name, argEntry(name, value, line));
  }
  const isGlobal = new Set(found.keys());
  for (const stage of outline.stages) {
    if (!reached.has(stage.index)) continue;
    const placeOf = placesIn(stage);
    for (const arg of argsOfStage(stage, scopes)) {
      if (isPredefined(arg, outline) || (isGlobal.has(arg.name) && isBare(arg))) continue;
      const isGiven = outline.options.buildArgs.has(arg.name) || !isBare(arg);
      found.set(
        arg.name,
        argEntry(arg.name, isGiven ? arg.value : undefined, arg.line, placeOf(arg.line.range)),
      );
    }
  }
  const lineOf = (arg: OutlineArg) => arg.location.ranges[0]?.start.line ?? 0;
  return [...found.values()].sort((a, b) => lineOf(a) - lineOf(b));
}

/** Those that the stage declares itself or by triggers, without those of the stage below. */
function argsOfStage(
  { index, origin }: OutlineStage,
  scopes: ReadonlyMap<number, StageScope>,
): readonly DeclaredArg[] {
  const below = origin.kind === 'stage' ? scopes.get(origin.stage) : undefined;
  return scopes.get(index)?.args.slice(below?.args.length ?? 0) ?? [];
}

/** Places of instructions of a stage: those of triggers, which may be in no file, are at its FROM. */
function placesIn(stage: OutlineStage | undefined): (range: SourceRange) => SourceRange {
  const own = new Set(stage?.instructions.map(line => line.range));
  return range => (own.has(range) ? range : (stage?.from.range ?? range));
}

/** `ARG TARGETARCH`: nobody needs to give it. */
function isPredefined(arg: DeclaredArg, { options, globals }: Outline): boolean {
  return isBare(arg) && !options.buildArgs.has(arg.name) && globals.values.has(arg.name);
}

/** `ARG NAME` */
function isBare({ name, line }: DeclaredArg): boolean {
  return line.args.some(arg => arg.key.raw === name && arg.value === undefined);
}

function argEntry(
  name: string,
  value: string | undefined,
  line: ArgInstruction,
  range: SourceRange = line.range,
): OutlineArg {
  const description = descriptionOf(name, line.comments);
  return { name, ...description, ...(value ? { value } : {}), location: locationOf(range) };
}

/** Global args that a FROM in reach or a bare ARG of such a stage reads, and those that their defaults read. */
function usedGlobals(outline: Outline, reached: ReadonlySet<number>): Set<string> {
  const { dockerfile, globals } = outline;
  const { escape: escapeChar } = dockerfile.directives;
  const used = new Set<string>();
  const read = (raw: string) => {
    for (const name of expandWord(raw, globals.values, escapeChar).used) used.add(name);
  };
  for (const { index, from, instructions } of outline.stages) {
    if (!reached.has(index)) continue;
    read(from.image.raw);
    if (from.platform !== undefined) read(from.platform.raw);
    for (const line of instructions) {
      if (line.kind === 'arg') for (const arg of line.args) if (!arg.value) used.add(arg.key.raw);
    }
  }
  for (const line of dockerfile.globalArgs.toReversed()) {
    for (const { key, value } of line.args.toReversed()) if (value && used.has(key.raw)) read(value.raw);
  }
  return used;
}

/** The place is the last one; whatever one step requires is required. */
function mountsInReach(
  outline: Outline,
  stages: readonly PlannedStage[],
): { secrets: OutlineSecret[]; ssh: OutlineSecret[] } {
  const found = { secret: new Map<string, OutlineSecret>(), ssh: new Map<string, OutlineSecret>() };
  for (const stage of [...stages].sort((a, b) => a.index - b.index)) {
    const placeOf = placesIn(outline.stages[stage.index]);
    for (const step of stage.steps) {
      if (step.kind !== 'run') continue;
      for (const mount of step.mounts) {
        if (mount.type !== 'secret' && mount.type !== 'ssh') continue;
        const required = mount.required || found[mount.type].get(mount.id)?.required;
        found[mount.type].set(mount.id, {
          name: mount.id,
          ...(required ? { required: true } : {}),
          location: locationOf(placeOf(step.range)),
        });
      }
    }
  }
  return { secrets: [...found.secret.values()], ssh: [...found.ssh.values()] };
}

/** Tables as docker prints them; an empty one is left out. */
export function formatOutline(call: OutlineCall): string {
  const { name, description, args = [], secrets = [], ssh = [] } = call;
  const requiredTable = (title: string, entries: readonly OutlineSecret[]) =>
    table(
      [title, 'REQUIRED'],
      entries.map(entry => [entry.name, entry.required ? 'true' : '']),
    );
  const blocks = [
    ...(name === undefined
      ? []
      : [`TARGET: ${name}${description === undefined ? '' : `\nDESCRIPTION: ${description}`}`]),
    table(
      ['BUILD ARG', 'VALUE', 'DESCRIPTION'],
      args.map(arg => [arg.name, arg.value ?? '', arg.description ?? '']),
    ),
    requiredTable('SECRET', secrets),
    requiredTable('SSH', ssh),
  ];
  return `${blocks.filter(block => block !== '').join('\n\n')}\n`;
}

export function formatTargets({ targets }: TargetsCall): string {
  const rows = targets.map(target => {
    const name = [target.name ?? '', target.default ? '(default)' : ''].filter(word => word !== '').join(' ');
    return [name, target.description ?? ''];
  });
  return `${table(['TARGET', 'DESCRIPTION'], rows)}\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map(row => (row[i] ?? '').length)));
  return all
    .map(row =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}
