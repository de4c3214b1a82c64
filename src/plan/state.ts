// What is true at one point of a stage, and the words of an instruction as they read there.
import { posix } from 'node:path';
import type { Text } from '../dockerfile/instructions.ts';
import { expandWord } from '../dockerfile/words.ts';
import type { ContainerConfig } from '../image/config.ts';
import { type ArgSources, type StageScope, withEnv } from './args.ts';
import { at } from './problems.ts';
import type { SourceScope } from './sources.ts';

export interface StageState {
  readonly scope: StageScope;
  readonly config: ContainerConfig;
  readonly author?: string;
  /** This stage has had a CMD, so ENTRYPOINT leaves it alone. */
  readonly hasCmd: boolean;
}

/** What instructions of a stage may look up; fixed while it is planned. */
export interface StageContext {
  readonly args: ArgSources;
  readonly sources: SourceScope;
}

/** PATH of images that set none. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Go's path.Join. */
export function joinPath(...parts: readonly string[]): string {
  const joined = posix.join(...parts);
  return joined.length > 1 && joined.endsWith('/') ? joined.slice(0, -1) : joined;
}

/** The directory that relative paths are below: absolute and clean. */
export function workdirOf(state: StageState): string {
  return joinPath('/', state.config.WorkingDir ?? '');
}

/** A word with its variables as they are before the instruction. @throws BuildError `dockerfile` */
export function expandText(text: Text, state: StageState, context: StageContext): string {
  return at(text.range, () => expandWord(text.raw, state.scope.env, context.args.escape)).value;
}

/** `NAME=value` as a pair; a missing `=` gives an empty value. */
export function splitVariable(entry: string): readonly [name: string, value: string] {
  const equals = entry.indexOf('=');
  return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
}

/** The list with variables set: each in its old place, or at the end. */
export function setVariables(
  list: readonly string[],
  pairs: readonly (readonly [name: string, value: string])[],
): string[] {
  const result = [...list];
  const places = new Map<string, number>();
  list.forEach((entry, i) => {
    const [name] = splitVariable(entry);
    if (!places.has(name)) places.set(name, i);
  });
  for (const [name, value] of pairs) {
    const i = places.get(name) ?? result.length;
    places.set(name, i);
    result[i] = `${name}=${value}`;
  }
  return result;
}

/**
 * The state in which a stage begins: PATH is set, the variables of the config are in effect. Those of an image win
 * over ARGs that came along from a stage below, as in BuildKit.
 */
export function beginStage(config: ContainerConfig, inherited: StageScope): StageState {
  const env = config.Env ?? [];
  const hasPath = env.some(entry => splitVariable(entry)[0] === 'PATH');
  const complete = hasPath ? env : [...env, `PATH=${defaultPath}`];
  return {
    scope: withEnv(inherited, complete.map(splitVariable)),
    config: withConfig(config, { Env: complete, OnBuild: undefined }),
    hasCmd: false,
  };
}

/** Order of the fields in the config's JSON, as Go writes its struct. */
const fieldOrder = [
  'User',
  'ExposedPorts',
  'Env',
  'Entrypoint',
  'Cmd',
  'Volumes',
  'WorkingDir',
  'Labels',
  'StopSignal',
  'ArgsEscaped',
  'Healthcheck',
  'OnBuild',
  'Shell',
];

type Changes = { readonly [Field in keyof ContainerConfig]?: ContainerConfig[Field] | undefined };

/** The config with fields changed; undefined, an empty list and an empty text remove one. Equal configs print equal. */
export function withConfig(config: ContainerConfig, changes: Changes): ContainerConfig {
  const merged = new Map<string, unknown>(Object.entries({ ...config, ...changes }));
  const result = new Map<string, unknown>();
  for (const field of [...fieldOrder, ...merged.keys()]) {
    const value = merged.get(field);
    const isEmpty = value === '' || (Array.isArray(value) && value.length === 0);
    if (value !== undefined && !(isEmpty && fieldOrder.includes(field))) result.set(field, value);
  }
  return Object.fromEntries(result) as ContainerConfig;
}

/** An object with its keys in byte order, which is how Go writes a map. */
export function sortedObject<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  const unique = [...new Map(entries)];
  // Up to the surrogates the order of characters is that of their bytes.
  const isPlain = !unique.some(([key]) => /[\ud800-\uffff]/.test(key));
  return Object.fromEntries(
    unique.sort(([a], [b]) => (isPlain ? (a < b ? -1 : 1) : Buffer.compare(Buffer.from(a), Buffer.from(b)))),
  );
}
