// The flags of instructions: `--name=value` between the keyword and its arguments.
import { printable } from '../errors.ts';
import type { Text } from './instructions.ts';
import type { Keyword } from './keywords.ts';
import { type Reading, refuse } from './reading.ts';
import type { Token } from './split.ts';
import { didYouMean } from './suggest.ts';

/** `list` may be repeated; `switch` takes nothing, `true` or `false`. */
type FlagKind = 'value' | 'list' | 'switch';

const COPY_FLAGS = {
  chown: 'value',
  chmod: 'value',
  link: 'switch',
  exclude: 'list',
} as const;

const FLAGS: Partial<Record<Keyword, Readonly<Record<string, FlagKind>>>> = {
  FROM: { platform: 'value' },
  RUN: { mount: 'list', network: 'value', security: 'value', device: 'list' },
  COPY: { ...COPY_FLAGS, from: 'value', parents: 'switch' },
  ADD: { ...COPY_FLAGS, 'keep-git-dir': 'switch', checksum: 'value', unpack: 'switch' },
  HEALTHCHECK: {
    interval: 'value',
    timeout: 'value',
    'start-period': 'value',
    'start-interval': 'value',
    retries: 'value',
  },
};

/** A flag's value with its offset in the instruction; `exact` when the value is written there without quotes. */
export interface FlagValue extends Text {
  readonly start: number;
  readonly exact: boolean;
}

export class Flags {
  readonly #values = new Map<string, FlagValue[]>();
  readonly #switches = new Map<string, boolean>();

  addValue(name: string, value: FlagValue): void {
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, [value]);
    else values.push(value);
  }

  addSwitch(name: string, on: boolean): void {
    this.#switches.set(name, on);
  }

  has(name: string): boolean {
    return this.#values.has(name) || this.#switches.has(name);
  }

  get(name: string): FlagValue | undefined {
    return this.#values.get(name)?.[0];
  }

  all(name: string): readonly FlagValue[] {
    return this.#values.get(name) ?? [];
  }

  isOn(name: string): boolean | undefined {
    return this.#switches.get(name);
  }
}

/** Reads all flags of an instruction; each wrong one is reported and left out. */
export function readFlags(reading: Reading): Flags {
  const flags = new Flags();
  const known = FLAGS[reading.name] ?? {};
  for (const token of reading.head.flags) {
    const equals = token.raw.indexOf('=');
    const name = token.raw.slice(2, equals === -1 ? undefined : equals);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) refuseUnknown(reading, token, name, Object.keys(known));
    else if (kind !== 'list' && flags.has(name)) {
      refuse(reading, 'duplicate-flag', `--${name} may be given only once`, token);
    } else if (kind === 'switch') readSwitch(reading, flags, token, name, equals);
    else if (equals === -1) {
      const hint = `write --${name}=...`;
      refuse(reading, 'missing-flag-value', `--${name} needs a value`, token, hint);
    } else flags.addValue(name, flagValue(reading, token, equals));
  }
  return flags;
}

function readSwitch(reading: Reading, flags: Flags, token: Token, name: string, equals: number): void {
  const value = equals === -1 ? 'true' : token.raw.slice(equals + 1).toLowerCase();
  if (value === 'true' || value === 'false') flags.addSwitch(name, value === 'true');
  else {
    const message = `--${name} is either true or false`;
    refuse(reading, 'invalid-flag-value', message, token, `write --${name} or --${name}=false`);
  }
}

function flagValue(reading: Reading, token: Token, equals: number): FlagValue {
  const { source } = reading;
  const raw = token.raw.slice(equals + 1);
  const start = source.text.indexOf('=', token.start) + 1;
  const exact = source.text.slice(start, token.end) === raw;
  return { ...source.textOf({ start, end: token.end }, raw), start, exact };
}

function refuseUnknown(reading: Reading, token: Token, name: string, known: string[]): void {
  const others = (Object.keys(FLAGS) as Keyword[]).filter(other => Object.hasOwn(FLAGS[other] ?? {}, name));
  const near = didYouMean(name, known, true);
  let hint =
    known.length === 0 ? `${reading.name} has no flags` : `${reading.name} has --${known.join(', --')}`;
  if (near !== undefined) hint = near.replace('mean ', 'mean --');
  else if (others.length > 0) hint = `--${printable(name)} is a flag of ${others.join(' and ')}`;
  const message = `${reading.name} has no flag --${printable(name)}`;
  // The reference implementation never looks at the flags of these two.
  const severity = reading.name === 'ARG' || reading.name === 'STOPSIGNAL' ? 'warning' : 'error';
  const range = reading.source.rangeOf(token);
  reading.problems.push({ severity, rule: 'unknown-flag', message, hint, range });
}
