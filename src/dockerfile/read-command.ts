// Readers of the instructions that hold a command: RUN, CMD, ENTRYPOINT, HEALTHCHECK, SHELL.
import { isSpace, quoted, trimmed } from './chars.ts';
import { csvFields } from './csv.ts';
import { parseBoolean } from './directives.ts';
import { parseDuration } from './durations.ts';
import { type Flags, type FlagValue, readFlags } from './flags.ts';
import type {
  CmdInstruction,
  CommandForm,
  DeviceFlag,
  HealthcheckInstruction,
  MountFlag,
  RunInstruction,
  ShellInstruction,
  Text,
} from './instructions.ts';
import type { Span } from './mapped-text.ts';
import { parseMountFlag } from './mounts.ts';
import { type Reading, refuse, refuseEmpty, restOf } from './reading.ts';
import { readJsonList } from './split.ts';
import { didYouMean } from './suggest.ts';

export function readRun(reading: Reading): RunInstruction | undefined {
  const flags = readFlags(reading);
  const command = readCommand(reading, reading.head.rest);
  if (command === undefined) return undefined;
  if (isEmpty(command)) return refuseEmpty(reading, 'RUN command');
  const network = oneOf(reading, flags, 'network', ['default', 'none', 'host']);
  const security = oneOf(reading, flags, 'security', ['sandbox', 'insecure']);
  return {
    kind: 'run',
    ...reading.common,
    command,
    mounts: flags.all('mount').flatMap(value => readMount(reading, value)),
    ...(network === undefined ? {} : { network }),
    ...(security === undefined ? {} : { security }),
    devices: flags.all('device').flatMap(value => readDevice(reading, value) ?? []),
  };
}

export function readCmd(reading: Reading): CmdInstruction | undefined {
  readFlags(reading);
  const command = readCommand(reading, reading.head.rest);
  const kind = reading.name === 'CMD' ? 'cmd' : 'entrypoint';
  return command === undefined ? undefined : { kind, ...reading.common, command };
}

export function readShell(reading: Reading): ShellInstruction | undefined {
  readFlags(reading);
  const list = readJsonList(reading.source.text, reading.head.rest);
  const usage = 'SHELL ["program", "argument"]';
  if (list.kind === 'mixed') return refuseMixed(reading, reading.head.rest);
  if (list.kind === 'list' && list.items.length > 0) {
    return { kind: 'shell', ...reading.common, argv: list.items.map(item => item.raw) };
  }
  if (list.kind === 'list' || restOf(reading) === '') return refuseEmpty(reading, usage);
  const message = 'SHELL takes a JSON array of strings';
  return refuse(reading, 'shell-not-json', message, reading.head.rest, `write ${usage}`);
}

export function readHealthcheck(reading: Reading): HealthcheckInstruction | undefined {
  const { rest } = reading.head;
  const { text } = reading.source;
  let end = rest.start;
  while (end < rest.end && !isSpace(text[end])) end++;
  const word = { start: rest.start, end };
  const type = text.slice(word.start, word.end).toUpperCase();
  const command = trimmed(text, end, rest.end);
  const usage = 'HEALTHCHECK CMD command, or HEALTHCHECK NONE';
  if (type === '') return refuseEmpty(reading, usage);
  if (type === 'NONE') {
    if (command.start === command.end) return { kind: 'healthcheck', ...reading.common };
    return refuse(reading, 'too-many-arguments', 'HEALTHCHECK NONE takes no arguments', command);
  }
  const flags = readFlags(reading);
  if (type !== 'CMD') {
    const message = `unknown type ${quoted(text.slice(word.start, word.end))} of HEALTHCHECK`;
    return refuse(reading, 'unknown-healthcheck', message, word, `write ${usage}`);
  }
  return readHealthcheckCommand(reading, flags, command, usage);
}

function readHealthcheckCommand(
  reading: Reading,
  flags: Flags,
  place: Span,
  usage: string,
): HealthcheckInstruction | undefined {
  const command = readCommand(reading, place);
  if (command === undefined) return undefined;
  if (isEmpty(command)) {
    return refuse(
      reading,
      'missing-argument',
      'HEALTHCHECK CMD needs a command',
      undefined,
      `write ${usage}`,
    );
  }
  const interval = readDuration(reading, flags, 'interval');
  const timeout = readDuration(reading, flags, 'timeout');
  const startPeriod = readDuration(reading, flags, 'start-period');
  const startInterval = readDuration(reading, flags, 'start-interval');
  const retries = readRetries(reading, flags);
  return {
    kind: 'healthcheck',
    ...reading.common,
    command,
    ...(interval === undefined ? {} : { interval }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(startPeriod === undefined ? {} : { startPeriod }),
    ...(startInterval === undefined ? {} : { startInterval }),
    ...(retries === undefined ? {} : { retries }),
  };
}

function isEmpty(command: CommandForm): boolean {
  return command.form === 'shell' ? command.line === '' : command.argv.length === 0;
}

/** An exec list, else the text as a line for the shell (also when it only looks like a list: then with a warning). */
function readCommand(reading: Reading, place: Span): CommandForm | undefined {
  const { source, heredocs } = reading;
  const list = readJsonList(source.text, place);
  if (list.kind === 'list') return { form: 'exec', argv: list.items.map(item => item.raw) };
  if (list.kind === 'mixed') return refuseMixed(reading, place);
  if (list.looksLike) warnNotJson(reading, place, 'the shell will run it as it stands');
  return { form: 'shell', line: source.text.slice(place.start, place.end), heredocs };
}

/** Warns of something that the user took for JSON form. */
export function warnNotJson(reading: Reading, place: Span, consequence: string): void {
  reading.problems.push({
    severity: 'warning',
    rule: 'exec-form-not-json',
    message: `this looks like a list, but it is not a JSON array, so ${consequence}`,
    hint: 'use double quotes, double each backslash, and write nothing behind the closing bracket',
    range: reading.source.rangeOf(place),
  });
}

/** Reports a JSON array that holds something else than strings. */
export function refuseMixed(reading: Reading, place: Span): undefined {
  const message = 'a JSON array of arguments holds nothing but strings';
  return refuse(reading, 'json-not-strings', message, place, 'put every argument in double quotes');
}

function readMount(reading: Reading, value: FlagValue): MountFlag[] {
  const placeOf = (start: number, end: number) =>
    value.exact
      ? reading.source.rangeOf({ start: value.start + start, end: value.start + end })
      : value.range;
  const mount = parseMountFlag(toText(value), reading.problems, placeOf);
  return mount === undefined ? [] : [mount];
}

function toText({ raw, range }: FlagValue): Text {
  return { raw, range };
}

/** A flag with a closed set of values, which variables cannot be part of. */
function oneOf(reading: Reading, flags: Flags, name: string, values: readonly string[]): Text | undefined {
  const value = flags.get(name);
  if (value === undefined || values.includes(value.raw))
    return value === undefined ? undefined : toText(value);
  const hint = didYouMean(value.raw, values) ?? `values are ${values.join(', ')}`;
  return refuse(reading, 'invalid-flag-value', `--${name} cannot be ${quoted(value.raw)}`, value.range, hint);
}

/** `name[,required[=bool]]`, or `name=...` in place of the bare name. */
function readDevice(reading: Reading, value: FlagValue): DeviceFlag | undefined {
  const hint = 'write --device=NAME or --device=NAME,required';
  const fields = value.raw === '' ? { problem: 'it is empty' } : csvFields(value.raw);
  if ('problem' in fields) {
    return refuse(reading, 'invalid-device', `the device cannot be read: ${fields.problem}`, value.range);
  }
  let name = '';
  let required = false;
  for (const { value: field } of fields) {
    const equals = field.indexOf('=');
    const key = (equals === -1 ? field : field.slice(0, equals)).toLowerCase();
    if (key === 'required') {
      const asked = equals === -1 ? true : parseBoolean(field.slice(equals + 1));
      if (asked !== undefined) {
        required = asked;
        continue;
      }
    } else if (name === '') {
      name = key === 'name' && equals !== -1 ? field.slice(equals + 1) : field;
      continue;
    }
    return refuse(reading, 'invalid-device', `unexpected ${quoted(field)} in --device`, value.range, hint);
  }
  if (name !== '') return { text: toText(value), name, required };
  return refuse(reading, 'invalid-device', 'the device has no name', value.range, hint);
}

const MILLISECOND = 1_000_000;

/** Nanoseconds; a flag with an empty value counts as absent. */
function readDuration(reading: Reading, flags: Flags, name: string): number | undefined {
  const value = flags.get(name);
  if (value === undefined || value.raw === '') return undefined;
  const duration = parseDuration(value.raw);
  if (duration === 0) return 0;
  if (duration === undefined) {
    const message = `--${name} is a duration, not ${quoted(value.raw)}`;
    return refuse(
      reading,
      'invalid-duration',
      message,
      value.range,
      'write a number with a unit: 30s, 1m30s, 500ms',
    );
  }
  if (duration >= MILLISECOND) return duration;
  return refuse(reading, 'invalid-duration', `--${name} is 0 or at least 1ms`, value.range);
}

function readRetries(reading: Reading, flags: Flags): number | undefined {
  const value = flags.get('retries');
  if (value === undefined || value.raw === '') return undefined;
  const retries = /^[+-]?\d+$/.test(value.raw) ? Number(value.raw) : Number.NaN;
  if (retries >= 0 && retries <= 0x7fff_ffff) return retries === 0 ? 0 : retries;
  const message = `--retries is a whole number from 0 on, not ${quoted(value.raw)}`;
  return refuse(reading, 'invalid-retries', message, value.range);
}
