// Why a step was executed: the first thing that differs between it and the nearest earlier record, in words. Pure.
import { printable, unreachable } from '../errors.ts';
import { showPath } from '../tree/entry.ts';
import type { InputFile } from './input-files.ts';
import { type Difference, differences, type KeyPart } from './key.ts';
import type { BaseRecord } from './records.ts';

/** A step as far as its key goes. */
export interface Explainable {
  readonly parts: readonly KeyPart[];
  readonly base?: BaseRecord;
  /** Which of the `env` parts are build arguments. */
  readonly args?: readonly string[];
  readonly files?: readonly InputFile[];
}

/** Why the cache was not asked, or its answer not taken. */
export type Refusal = 'no-cache' | 'expired' | 'gone' | 'pretended';

/**
 * @param before the nearest earlier record; undefined: there is none
 * @param follows the first step of the stage that was executed, if there is one
 */
export function explainMiss(
  before: Explainable | undefined,
  after: Explainable,
  refusal: Refusal | undefined,
  follows: string | undefined,
): string {
  if (refusal !== undefined) return refused(refusal);
  if (!before) return 'no earlier record';
  const base = baseDifference(before, after);
  if (base !== undefined) return base;
  const all = differences(before.parts, after.parts);
  const [own] = all.filter(({ name }) => name !== 'state' && name !== 'source');
  if (own) return describe(own, before, after);
  if (follows !== undefined) return `follows ${clip(follows)}`;
  return all.length > 0 ? 'the layers below it differ' : 'its earlier result is not in the store';
}

function refused(refusal: Refusal): string {
  switch (refusal) {
    case 'no-cache':
      return 'the cache was not asked for this step';
    case 'expired':
      return 'the earlier result is older than --cache-ttl allows';
    case 'gone':
      return 'its earlier result is no longer in the store';
    case 'pretended':
      return 'its earlier result is of proot, which only pretends that files have other owners';
    default:
      return unreachable(refusal);
  }
}

function baseDifference({ base: old }: Explainable, { base }: Explainable): string | undefined {
  if (!old || !base || old.state === base.state) return undefined;
  return old.reference === base.reference
    ? `base ${clip(base.reference)} moved`
    : `base ${clip(old.reference)} → ${clip(base.reference)}`;
}

function describe(difference: Difference, before: Explainable, after: Explainable): string {
  const { name } = difference;
  if (/^source \d+$|^content$/.test(name)) return filesDifference(before.files, after.files);
  const env = /^env (.*)$/s.exec(name)?.[1];
  if (env !== undefined) {
    const kind = (after.args ?? before.args)?.includes(env) ? 'ARG' : 'ENV';
    return change(`${kind} ${env}`, difference);
  }
  const mount = /^mount (.*)$/s.exec(name)?.[1];
  if (mount !== undefined) return mountDifference(mount, difference);
  return change(labels[name] ?? name, difference);
}

const labels: Readonly<Record<string, string>> = {
  kind: 'instruction',
  argv: 'command',
  'script name': 'script',
  chown: '--chown',
  chmod: '--chmod',
  link: '--link',
  unpack: '--unpack',
  'keep-git-dir': '--keep-git-dir',
  dest: 'destination',
  path: 'directory',
  workdir: 'WORKDIR',
  user: 'USER',
  network: '--network',
  security: '--security',
  device: '--device',
  'device found': 'the device found',
};

function change(what: string, { before, after }: Difference): string {
  if (before === undefined) return `${what} added: ${quote(after)}`;
  if (after === undefined) return `${what} removed: ${quote(before)}`;
  const [a, b] = narrowed(before, after);
  return `${what} ${quote(a)} → ${quote(b)}`;
}

function mountDifference(target: string, { before, after }: Difference): string {
  if (before === undefined) return `mount ${clip(target)} added`;
  if (after === undefined) return `mount ${clip(target)} removed`;
  return /^\d+:bind/.test(after) && /^\d+:bind/.test(before)
    ? `what is mounted at ${clip(target)} changed`
    : `mount ${clip(target)} changed`;
}

function filesDifference(
  before: readonly InputFile[] | undefined,
  after: readonly InputFile[] | undefined,
): string {
  if (!before || !after) return 'the files that it reads changed';
  const old = new Map(before.map(file => [file.path, file]));
  const found: string[] = [];
  for (const file of after) {
    const earlier = old.get(file.path);
    old.delete(file.path);
    const text = earlier ? fileDifference(earlier, file) : `${nameOf(file)} added`;
    if (text !== undefined) found.push(text);
  }
  for (const file of old.values()) found.push(`${nameOf(file)} removed`);
  const [first, ...others] = found;
  if (first === undefined) return 'the files that it reads changed';
  return others.length === 0 ? first : `${first}, and ${others.length} more`;
}

function fileDifference(before: InputFile, after: InputFile): string | undefined {
  const name = nameOf(after);
  if (before.type !== after.type) return `${name} was a ${before.type} and is a ${after.type}`;
  if (before.content !== after.content) {
    const sizes =
      before.size === after.size
        ? formatBytes(after.size)
        : `${formatBytes(before.size)} → ${formatBytes(after.size)}`;
    return `${name} changed (${sizes})`;
  }
  if (before.target !== after.target) {
    return `${name} pointed to ${clip(showPath(before.target))}, points to ${clip(showPath(after.target))}`;
  }
  if (before.mode !== after.mode) return `mode of ${name} ${octal(before.mode)} → ${octal(after.mode)}`;
  return undefined;
}

function nameOf({ path }: InputFile): string {
  return path === '' ? 'the directory itself' : clip(showPath(path));
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

/** `1.2 kB`: decimal units, one digit after the point; equal texts for unequal sizes get all digits. */
function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`;
}

const maxShown = 60;

function quote(text: string | undefined): string {
  const shown = clip(text ?? '');
  return shown === '' || /\s/.test(shown) ? `"${shown}"` : shown;
}

function clip(text: string): string {
  const line = printable(text.replace(/\s+/g, ' '));
  return line.length > maxShown ? `${line.slice(0, maxShown - 1)}…` : line;
}

/** Long texts from shortly before where they part, so that what is shown differs. */
function narrowed(a: string, b: string): [string, string] {
  if (a.length <= maxShown && b.length <= maxShown) return [a, b];
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  const from = same < maxShown / 2 ? 0 : same - 15;
  return from === 0 ? [a, b] : [`…${a.slice(from)}`, `…${b.slice(from)}`];
}
