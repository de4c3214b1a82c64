// Scopes of ARG and ENV. A stage has one environment into which ARG and ENV both write, the later line wins, as
// BuildKit does it: https://docs.docker.com/reference/dockerfile/#arg (whose text says that ENV always wins).

import { parseBoolean } from '../dockerfile/directives.ts';
import type { ArgInstruction, Dockerfile, StageInstruction } from '../dockerfile/instructions.ts';
import { didYouMean, suggest } from '../dockerfile/suggest.ts';
import { type Escape, expandWord } from '../dockerfile/words.ts';
import type { Diagnostic, SourceRange } from '../errors.ts';
import { formatPlatform, type Platform } from '../image/platform.ts';
import type { PlanOptions } from './options.ts';
import { at } from './problems.ts';

/** What ARG lines before the first FROM and the platform args make visible to FROM and to a bare `ARG NAME`. */
export interface GlobalScope {
  readonly values: ReadonlyMap<string, string>;
  /** Names from ARG lines, with or without a value. */
  readonly declared: readonly DeclaredArg[];
}

export interface DeclaredArg {
  readonly name: string;
  /** Absent: no value from the command line, a default or the global scope. */
  readonly value?: string;
  readonly range: SourceRange;
  /** The line that declares it. */
  readonly line: ArgInstruction;
}

/** What is visible at one point of a stage. */
export interface StageScope {
  /** ENV and ARG values in the order in which the names first appeared. */
  readonly env: ReadonlyMap<string, string>;
  /** ARGs declared so far, those of the stages below included; a name may be repeated. */
  readonly args: readonly DeclaredArg[];
}

export const emptyScope: StageScope = { env: new Map(), args: [] };

/** Build args that work without ARG and stay out of history and cache. */
const proxyNames = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'] as const;

/** ARGs that steer the build and never become environment variables. */
const notEnvironment = new Set(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE']);

/** TARGETPLATFORM and its like; a build arg of the same name wins. */
export function platformArgs(options: PlanOptions, targetName: string): Map<string, string> {
  const values = [
    ...describe('BUILD', options.buildPlatform),
    ...describe('TARGET', options.platform),
    ['TARGETSTAGE', targetName || 'default'] as const,
  ];
  return new Map(values.map(([name, value]) => [name, options.buildArgs.get(name) ?? value]));
}

function describe(prefix: string, p: Platform): (readonly [string, string])[] {
  return [
    [`${prefix}PLATFORM`, formatPlatform(p)],
    [`${prefix}OS`, p.os],
    [`${prefix}OSVERSION`, p.osVersion ?? ''],
    [`${prefix}ARCH`, p.architecture],
    [`${prefix}VARIANT`, p.variant ?? ''],
  ];
}

/** Value of TARGETSTAGE: the target as it was asked for, an index as its stage's name, '' for a stage without one. */
function targetName({ stages }: Dockerfile, { target }: PlanOptions): string {
  if (target === undefined || target === '') return stages.at(-1)?.name ?? '';
  const isIndex = /^\d+$/.test(target) && !stages.some(stage => stage.name === target);
  return isIndex ? (stages[Number(target)]?.name ?? '') : target;
}

/** @throws BuildError `dockerfile` when a default can not be expanded */
export function globalScope(dockerfile: Dockerfile, options: PlanOptions): GlobalScope {
  const values = platformArgs(options, targetName(dockerfile, options));
  const declared: DeclaredArg[] = [];
  for (const instruction of dockerfile.globalArgs) {
    for (const { key, value: fallback } of instruction.args) {
      let value =
        options.buildArgs.get(key.raw) ??
        (fallback &&
          at(fallback.range, () => expandWord(fallback.raw, values, dockerfile.directives.escape)).value);
      if (key.raw === 'SOURCE_DATE_EPOCH' && options.undated) value = undefined;
      if (value !== undefined) values.set(key.raw, value);
      declared.push({
        name: key.raw,
        range: key.range,
        line: instruction,
        ...(value === undefined ? {} : { value }),
      });
    }
  }
  return { values, declared };
}

/** What a line may look up: fixed during a build. */
export interface ArgSources {
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly globals: GlobalScope;
  readonly escape: Escape;
}

/**
 * `ARG NAME[=default] ...`: a build arg wins over the default, the default over the global scope. A name without any
 * value leaves an earlier ENV alone. Each word sees the ones before it.
 * @returns the scope behind the line and the line as history shows it
 */
export function declareArgs(
  scope: StageScope,
  line: ArgInstruction,
  sources: ArgSources,
): { readonly scope: StageScope; readonly createdBy: string } {
  const env = new Map(scope.env);
  const args = [...scope.args];
  const words: string[] = [];
  for (const { key, value: fallback } of line.args) {
    const name = key.raw;
    const value =
      sources.buildArgs.get(name) ??
      (fallback
        ? at(fallback.range, () => expandWord(fallback.raw, env, sources.escape)).value
        : sources.globals.values.get(name));
    if (value !== undefined && !notEnvironment.has(name)) env.set(name, value);
    args.push({ name, range: key.range, line, ...(value === undefined ? {} : { value }) });
    words.push(value === undefined ? name : `${name}=${value}`);
  }
  return { scope: { env, args }, createdBy: `ARG ${words.join(' ')}` };
}

/** @returns the scope with variables set, each keeping the place where its name first appeared */
export function withEnv(
  scope: StageScope,
  variables: Iterable<readonly [name: string, value: string]>,
): StageScope {
  const env = new Map(scope.env);
  for (const [name, value] of variables) env.set(name, value);
  return { ...scope, env };
}

/** `|2 A=1 B=` in front of a RUN in history: the declared args with the values that the command sees. */
export function historyArgs(scope: StageScope): string[] {
  const values = new Map<string, string>();
  for (const { name, value } of scope.args) values.set(name, scope.env.get(name) ?? value ?? '');
  return values.size === 0
    ? []
    : [`|${values.size}`, ...[...values].map(([name, value]) => `${name}=${value}`)];
}

/**
 * Proxy build args as `NAME=value`, upper and lower case, apart from names that an ARG declared: those are ordinary
 * variables. An ENV of the same name loses against it.
 */
export function hiddenEnv(scope: StageScope, buildArgs: ReadonlyMap<string, string>): string[] {
  const declared = new Set(scope.args.map(arg => arg.name));
  const found: string[] = [];
  for (const upper of proxyNames) {
    let value = '';
    for (const name of [...buildArgs.keys()].sort()) {
      if (name.toUpperCase() === upper) value = buildArgs.get(name) ?? '';
    }
    if (value === '') continue;
    for (const name of [upper, upper.toLowerCase()]) if (!declared.has(name)) found.push(`${name}=${value}`);
  }
  return found;
}

/** Warnings about build args that no ARG of the Dockerfile, or of the triggers that ran, declares. */
export function unusedBuildArgs(
  dockerfile: Dockerfile,
  triggers: readonly StageInstruction[],
  options: PlanOptions,
): Diagnostic[] {
  const declared = new Set<string>();
  const declare = (line: StageInstruction) => {
    if (line.kind === 'arg') for (const arg of line.args) declared.add(arg.key.raw);
    if (line.kind === 'onbuild') declare(line.instruction);
  };
  dockerfile.globalArgs.forEach(declare);
  dockerfile.stages.forEach(stage => {
    stage.instructions.forEach(declare);
  });
  triggers.forEach(declare);
  const predefined = platformArgs(options, '');
  const warnings: Diagnostic[] = [...withoutEffect(options)];
  for (const name of options.buildArgs.keys()) {
    if (declared.has(name) || predefined.has(name) || isMagic(name)) continue;
    const hint = didYouMean(name, [...declared, ...steering], true);
    warnings.push({
      severity: 'warning',
      rule: 'unused-build-arg',
      message: `the build argument ${name} is not declared by any ARG`,
      ...(hint === undefined ? {} : { hint }),
    });
  }
  return warnings;
}

/** Build args that ask docker for something that is not done here. A boolean that is false asks for nothing. */
function withoutEffect({ buildArgs }: PlanOptions): Diagnostic[] {
  const asked = Object.keys(unsupported).filter(name => {
    const value = buildArgs.get(name);
    return value !== undefined && value !== '' && parseBoolean(value) !== false;
  });
  return asked.map(name => ({
    severity: 'warning',
    rule: 'no-effect',
    message: `the build argument ${name} has no effect: ${unsupported[name]}`,
  }));
}

const unsupported: Readonly<Record<string, string>> = {
  BUILDKIT_BUILD_NAME: 'builds have no names',
  BUILDKIT_SBOM_SCAN_CONTEXT: 'nothing is scanned',
  BUILDKIT_SBOM_SCAN_STAGE: 'nothing is scanned',
};

/** Build args that mean something without an ARG, beside the platform's and those of proxies. */
const steering = [
  'SOURCE_DATE_EPOCH',
  'BUILDKIT_CACHE_MOUNT_NS',
  'BUILDKIT_CONTEXT_KEEP_GIT_DIR',
  'BUILDKIT_DOCKERFILE_CHECK',
  'BUILDKIT_INLINE_CACHE',
  'BUILDKIT_MULTI_PLATFORM',
  'BUILDKIT_SANDBOX_HOSTNAME',
  'BUILDKIT_SYNTAX',
  ...Object.keys(unsupported),
];

function isMagic(name: string): boolean {
  return steering.includes(name) || proxyNames.some(proxy => proxy === name.toUpperCase());
}

/** A hint when one of `missing` looks like a misspelt global arg. */
export function globalArgHint(missing: readonly string[], globals: GlobalScope): string | undefined {
  const names = [...globals.values.keys(), ...globals.declared.map(arg => arg.name)];
  for (const name of missing) {
    const found = suggest(name, names, true);
    if (found !== undefined) return `${name} is not defined before the first FROM, did you mean ${found}?`;
  }
  return missing.length === 0
    ? undefined
    : `${missing[0]} has no value here: FROM sees only ARGs before the first FROM and build args`;
}
