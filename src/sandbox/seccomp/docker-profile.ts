// A profile in the format of `docker run --security-opt seccomp=FILE` (docs.docker.com/engine/security/seccomp): checked,
// and what it says about architectures, capabilities and kernels settled for one step.
import { BuildError, printable } from '../../errors.ts';
import type { Capability } from '../defaults.ts';
import {
  machineArchitectures,
  type SeccompAction,
  type SeccompComparison,
  type SeccompProfile,
  type SeccompRule,
  seccompActions,
  seccompOperators,
} from './profile.ts';

/** What the conditions of a profile ask about. */
export interface SeccompCircumstances {
  /** As process.arch. */
  readonly arch: string;
  /** Those that the step gets. */
  readonly capabilities: readonly Capability[];
  /** `6.1.0-13-amd64` */
  readonly kernel: string;
}

/** A profile that was read; what applies to a step depends on where and with what it runs. */
export interface DockerProfile {
  /** As it was written. */
  readonly text: string;
  apply(circumstances: SeccompCircumstances): SeccompProfile;
}

/** Names that Docker uses for architectures in conditions. */
const conditionArchitectures: Readonly<Record<string, readonly string[]>> = {
  x64: ['amd64', 'x32', 'x86'],
  arm64: ['arm64', 'arm'],
};

interface ReadRule extends SeccompRule {
  readonly when: readonly ((circumstances: SeccompCircumstances) => boolean)[];
}

/**
 * @param name of the file, for messages
 * @throws BuildError `usage` for text that is no such profile
 */
export function readDockerProfile(text: string, name: string): DockerProfile {
  return new Reader(name).read(text);
}

type Fields = Readonly<Record<string, unknown>>;

class Reader {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  read(text: string): DockerProfile {
    const top = this.#object(this.#json(text), 'the profile');
    this.#known(top, 'the profile', [
      ...['defaultAction', 'defaultErrnoRet', 'architectures', 'archMap', 'syscalls'],
      ...['flags', 'listenerPath', 'listenerMetadata', 'comment'],
    ]);
    for (const key of ['flags', 'listenerPath', 'listenerMetadata']) {
      if (this.#list(top[key] ?? [], key, true).length > 0) throw this.#refuse(`${key} is not supported`);
    }
    const defaultAction = this.#oneOf(top.defaultAction, seccompActions, 'defaultAction');
    const errno = this.#errno(top.defaultErrnoRet, 'defaultErrnoRet');
    const rules = this.#list(top.syscalls ?? [], 'syscalls').map(each => this.#rule(each));
    const architectures = this.#architectures(top);
    return {
      text,
      apply: circumstances => ({
        defaultAction,
        ...(errno === undefined ? {} : { defaultErrnoRet: errno }),
        architectures: architectures(circumstances.arch),
        syscalls: rules
          .filter(rule => rule.when.every(holds => holds(circumstances)))
          .map(({ when: _, ...rule }) => rule),
      }),
    };
  }

  #json(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw this.#refuse(`it is not JSON: ${(cause as Error).message}`);
    }
  }

  /** Either a plain list, or for each architecture of machines the others whose programs run there, too. */
  #architectures(top: Fields): (arch: string) => readonly string[] {
    const plain = this.#texts(top.architectures ?? [], 'architectures');
    const map = this.#list(top.archMap ?? [], 'archMap').map(each => {
      const entry = this.#object(each, 'an entry of archMap');
      const architecture = String(entry.architecture);
      return [architecture, ...this.#texts(entry.subArchitectures ?? [], 'subArchitectures')];
    });
    if (plain.length > 0 && map.length > 0)
      throw this.#refuse('it has both architectures and archMap; one will do');
    return arch => {
      const own = machineArchitectures[arch]?.[0] ?? '';
      if (map.length > 0) return map.find(([first]) => first === own) ?? [own];
      return plain.length > 0 ? plain : [own];
    };
  }

  #rule(value: unknown): ReadRule {
    const rule = this.#object(value, 'an entry of syscalls');
    this.#known(rule, 'an entry of syscalls', [
      ...['name', 'names', 'action', 'errnoRet', 'args', 'includes', 'excludes', 'comment'],
    ]);
    const names = this.#texts(rule.names ?? (rule.name === undefined ? [] : [rule.name]), 'names');
    if (names.length === 0) throw this.#refuse('an entry of syscalls has no names');
    const errnoRet = this.#errno(rule.errnoRet, 'errnoRet');
    const args = this.#list(rule.args ?? [], 'args').map(each => this.#comparison(each));
    return {
      names,
      action: this.#oneOf<SeccompAction>(rule.action, seccompActions, 'action'),
      ...(errnoRet === undefined ? {} : { errnoRet }),
      ...(args.length === 0 ? {} : { args }),
      when: [...this.#conditions(rule.includes, true), ...this.#conditions(rule.excludes, false)],
    };
  }

  /** Included: every architecture list, capability and kernel named must fit. Excluded: none may. */
  #conditions(value: unknown, included: boolean): ReadRule['when'] {
    const what = included ? 'includes' : 'excludes';
    const filter = this.#object(value ?? {}, what);
    this.#known(filter, what, ['arches', 'caps', 'minKernel']);
    const arches = this.#texts(filter.arches ?? [], 'arches');
    const caps = this.#texts(filter.caps ?? [], 'caps').map(name => name.replace(/^CAP_/, ''));
    const minimum = filter.minKernel;
    if (minimum !== undefined && !/^\d+\.\d+$/.test(String(minimum))) {
      throw this.#refuse(`minKernel ${printable(String(minimum))} is not like 4.8`);
    }
    const tests: ((at: SeccompCircumstances) => boolean)[] = [
      ...(arches.length === 0 ? [] : [(at: SeccompCircumstances) => fits(at.arch, arches)]),
      ...caps.map(cap => (at: SeccompCircumstances) => (at.capabilities as readonly string[]).includes(cap)),
      ...(minimum === undefined ? [] : [(at: SeccompCircumstances) => isAtLeast(at.kernel, String(minimum))]),
    ];
    return tests.map(test => at => test(at) === included);
  }

  #comparison(value: unknown): SeccompComparison {
    const entry = this.#object(value, 'an entry of args');
    this.#known(entry, 'an entry of args', ['index', 'value', 'valueTwo', 'op']);
    const index = this.#number(entry.index, 'index');
    if (index > 5) throw this.#refuse(`a system call has no argument ${index}`);
    return {
      index,
      value: this.#number(entry.value, 'value'),
      valueTwo: this.#number(entry.valueTwo ?? 0, 'valueTwo'),
      op: this.#oneOf(entry.op, seccompOperators, 'op'),
    };
  }

  #object(value: unknown, what: string): Fields {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
    throw this.#refuse(`${what} is no object`);
  }

  #known(fields: Fields, what: string, known: readonly string[]): void {
    const unknown = Object.keys(fields).find(key => !known.includes(key));
    if (unknown !== undefined) throw this.#refuse(`${what} has an unknown field ${printable(unknown)}`);
  }

  #list(value: unknown, what: string, orText = false): readonly unknown[] {
    if (Array.isArray(value)) return value;
    if (value === null) return [];
    if (orText && typeof value === 'string') return value === '' ? [] : [value];
    throw this.#refuse(`${what} is no list`);
  }

  #texts(value: unknown, what: string): readonly string[] {
    const list = this.#list(value, what);
    if (list.every(each => typeof each === 'string')) return list;
    throw this.#refuse(`${what} holds something else than text`);
  }

  #number(value: unknown, what: string): number {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.#refuse(`${what} ${printable(String(value))} is no whole number`);
  }

  #errno(value: unknown, what: string): number | undefined {
    if (value === undefined || value === null) return undefined;
    const number = this.#number(value, what);
    if (number > 0xffff) throw this.#refuse(`${what} ${number} is too large`);
    return number;
  }

  #oneOf<T extends string>(value: unknown, known: readonly T[], what: string): T {
    const found = known.find(each => each === value);
    if (found !== undefined) return found;
    throw this.#refuse(`${what} ${printable(String(value))} is not supported`, `known: ${known.join(', ')}`);
  }

  #refuse(why: string, hint?: string): BuildError {
    const message = `the seccomp profile ${printable(this.#name)} cannot be used: ${why}`;
    return new BuildError('usage', message, hint === undefined ? {} : { hint });
  }
}

function fits(arch: string, names: readonly string[]): boolean {
  return conditionArchitectures[arch]?.some(each => names.includes(each)) ?? false;
}

function isAtLeast(kernel: string, minimum: string): boolean {
  const numbers = (text: string) => (/^(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
  const [major = 0, minor = 0] = numbers(kernel);
  const [wantedMajor = 0, wantedMinor = 0] = numbers(minimum);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
