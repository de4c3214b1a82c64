// RUN --mount with its variables known: values checked, defaults filled in.
// https://docs.docker.com/reference/dockerfile/#run---mount
import { posix } from 'node:path';
import type { Diagnostic, SourceRange } from '../errors.ts';
import { quoted } from './chars.ts';
import { parseBoolean } from './directives.ts';
import type { MountFlag } from './instructions.ts';
import { misplacedKey, mountProblem, mountType, unknownType } from './mounts.ts';
import { didYouMean } from './suggest.ts';
import { WordError } from './words.ts';

interface Owned {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A mount with every value known. `from` is a name as written: a stage, an image, a named context. */
export type ResolvedMount =
  | {
      readonly type: 'bind';
      /** Absent: the build context. */
      readonly from?: string;
      /** Absolute and clean. */
      readonly source: string;
      /** Absolute and clean. */
      readonly target: string;
      readonly writable: boolean;
    }
  | (Owned & {
      readonly type: 'cache';
      readonly id: string;
      readonly target: string;
      readonly sharing: 'shared' | 'private' | 'locked';
      /** Absent: an empty directory. */
      readonly from?: string;
      readonly source: string;
      readonly readonly: boolean;
    })
  | {
      readonly type: 'tmpfs';
      readonly target: string;
      /** Bytes; absent: the kernel's default. */
      readonly size?: number;
    }
  | (Owned & {
      readonly type: 'secret';
      readonly id: string;
      /** Absent when only `env` was asked for. */
      readonly target?: string;
      readonly env?: string;
      readonly required: boolean;
    })
  | (Owned & {
      readonly type: 'ssh';
      readonly id: string;
      /** Absent: /run/buildkit/ssh_agent.N, where N counts the ssh mounts of the instruction. */
      readonly target?: string;
      readonly required: boolean;
    });

export interface MountContext {
  /** WORKDIR in force, absolute: relative targets are below it. */
  readonly workdir: string;
}

const SHARING = ['shared', 'private', 'locked'] as const;

/** Expands the values of a mount with `expand` (whose WordError becomes the problem) and completes it. */
export function resolveMount(
  flag: MountFlag,
  expand: (raw: string) => string,
  context: MountContext,
): { readonly mount: ResolvedMount } | { readonly problem: Diagnostic } {
  try {
    return { mount: new Resolver(flag, expand, context).resolve() };
  } catch (error) {
    if (error instanceof MountError) return { problem: error.diagnostic };
    if (!(error instanceof WordError)) throw error;
    return { problem: mountProblem('invalid-expansion', error.message, flag.text.range) };
  }
}

class MountError extends Error {
  readonly diagnostic: Diagnostic;

  constructor(diagnostic: Diagnostic) {
    super(diagnostic.message);
    this.diagnostic = diagnostic;
  }
}

class Resolver {
  readonly #range: SourceRange;
  readonly #context: MountContext;
  readonly #values = new Map<string, string>();
  #readonly: boolean | undefined;

  constructor(flag: MountFlag, expand: (raw: string) => string, context: MountContext) {
    this.#range = flag.text.range;
    this.#context = context;
    for (const { key, value: raw } of flag.fields) {
      const value = key === 'from' ? raw : expand(raw);
      this.#values.set(key, value);
      // Of several `ro` and `rw` the last one counts.
      if (key === 'readonly') this.#readonly = this.#boolean(key);
      if (key === 'readwrite') this.#readonly = !this.#boolean(key);
    }
  }

  resolve(): ResolvedMount {
    const written = this.#values.get('type') ?? 'bind';
    const type = mountType(written);
    if (type === undefined) throw new MountError(unknownType(written, this.#range));
    for (const key of this.#values.keys()) {
      const wrong = misplacedKey(key, key, type, this.#range);
      if (wrong !== undefined) throw new MountError(wrong);
    }
    switch (type) {
      case 'bind':
        return { type, ...this.#origin(), target: this.#target(), writable: this.#readonly === false };
      case 'cache':
        return this.#cache();
      case 'tmpfs':
        return { type, target: this.#target(), ...this.#size() };
      case 'secret':
        return this.#secret();
      case 'ssh':
        return this.#ssh();
    }
  }

  #cache(): ResolvedMount {
    const sharing = (this.#values.get('sharing') ?? 'shared').toLowerCase();
    const known = SHARING.find(mode => mode === sharing);
    if (known === undefined) {
      const hint = didYouMean(sharing, SHARING) ?? `modes are ${SHARING.join(', ')}`;
      throw this.#error(`unknown sharing mode ${quoted(sharing)}`, hint);
    }
    return {
      type: 'cache',
      id: this.#text('id') ?? clean(this.#values.get('target') ?? ''),
      target: this.#target(),
      sharing: known,
      ...this.#origin(),
      ...this.#owned(0o755),
      readonly: this.#readonly ?? false,
    };
  }

  #secret(): ResolvedMount {
    const target = this.#text('target');
    const source = this.#text('source');
    const named = this.#text('id');
    if (source !== undefined && named !== undefined) {
      throw this.#error('a secret mount has either an id or a source, not both', 'keep the id');
    }
    const id = source ?? named ?? (target === undefined ? undefined : posix.basename(target));
    if (id === undefined) throw this.#error('a secret mount needs an id or a target', 'write id=NAME');
    const env = this.#values.get('env');
    const path = target ?? (env === undefined ? `/run/secrets/${posix.basename(id)}` : undefined);
    return {
      type: 'secret',
      id,
      ...(path === undefined ? {} : { target: this.#absolute(path) }),
      ...(env === undefined ? {} : { env }),
      required: this.#boolean('required'),
      ...this.#owned(0o400),
    };
  }

  #ssh(): ResolvedMount {
    if (this.#text('source') !== undefined) {
      throw this.#error('an ssh mount has no source', 'name the agent or key with id=NAME');
    }
    const target = this.#text('target');
    return {
      type: 'ssh',
      id: this.#text('id') ?? 'default',
      ...(target === undefined ? {} : { target: this.#absolute(target) }),
      required: this.#boolean('required'),
      ...this.#owned(0o600),
    };
  }

  #origin(): { from?: string; source: string } {
    const from = this.#text('from');
    const source = clean(`/${this.#values.get('source') ?? ''}`);
    return { ...(from === undefined ? {} : { from }), source };
  }

  /** Without a target the mount is at the working directory. */
  #target(): string {
    return this.#absolute(this.#values.get('target') ?? '');
  }

  #absolute(path: string): string {
    const target = clean(path.startsWith('/') ? path : `/${this.#context.workdir}/${path}`);
    if (target !== '/') return target;
    if (path === '') throw this.#error('the mount needs a target', 'write target=/path');
    throw this.#error('a mount cannot have / as its target', 'choose a directory below /');
  }

  #owned(mode: number): Owned {
    return {
      mode: this.#number('mode', 8) ?? mode,
      uid: this.#number('uid', 10) ?? 0,
      gid: this.#number('gid', 10) ?? 0,
    };
  }

  /** A value, with the empty text counting as absent. */
  #text(key: string): string | undefined {
    const value = this.#values.get(key);
    return value === '' ? undefined : value;
  }

  #boolean(key: string): boolean {
    const value = this.#values.get(key);
    if (value === undefined) return false;
    const parsed = parseBoolean(value);
    if (parsed === undefined) throw this.#error(`${key} is true or false, not ${quoted(value)}`);
    return parsed;
  }

  #number(key: string, base: 8 | 10): number | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    const digits = base === 8 ? /^[0-7]+$/ : /^\d+$/;
    const parsed = digits.test(value) ? Number.parseInt(value, base) : Number.NaN;
    if (parsed <= 0xffff_ffff) return parsed;
    const kind = base === 8 ? 'an octal number such as 0755' : 'a number below 4294967296';
    throw this.#error(`${key} is ${kind}, not ${quoted(value)}`);
  }

  #size(): { size?: number } {
    const value = this.#values.get('size');
    if (value === undefined) return {};
    const size = parseSize(value);
    if (size === undefined)
      throw this.#error(`invalid size ${quoted(value)}`, 'write a number with a unit: 64m');
    return size === 0 ? {} : { size };
  }

  #error(message: string, hint?: string): MountError {
    return new MountError(mountProblem('invalid-mount', message, this.#range, hint));
  }
}

/** Go's path.Clean. */
function clean(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

const SIZE_UNITS = 'bkmgtp';

/** Bytes for `64m`, `1.5GiB`, `1024`: units are powers of 1024, in any case. Undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d*)?|\.\d+) ?(?:([bkmgtp])|([kmgtp])i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const unit = (match[2] ?? match[3] ?? 'b').toLowerCase();
  const bytes = Math.trunc(Number(match[1]) * 1024 ** SIZE_UNITS.indexOf(unit));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
