// `--filter` of image commands: https://docs.docker.com/reference/cli/docker/image/ls/#filter
import { BuildError, printable } from '../errors.ts';
import { familiarName, familiarReference, parseReference } from '../image/reference.ts';
import { createdMs, isByDigest, isDangling, type LocalImage } from './catalog.ts';
import { findImage } from './find.ts';

export type LabelTest = (labels: Readonly<Record<string, string>>) => boolean;

export interface ListFilter {
  readonly dangling?: boolean;
  readonly labels: readonly LabelTest[];
  /** References; images created earlier (later) than each. */
  readonly before: readonly string[];
  readonly since: readonly string[];
  /** Patterns, one of which must match a name. */
  readonly references: readonly string[];
  /** Milliseconds since 1970. */
  readonly createdBeforeMs?: number;
}

export const noFilter: ListFilter = { labels: [], before: [], since: [], references: [] };

/** @param texts `key=value` @throws BuildError `usage` */
export function parseListFilter(texts: readonly string[], nowMs: number): ListFilter {
  const labels: LabelTest[] = [];
  const before: string[] = [];
  const since: string[] = [];
  const references: string[] = [];
  let rest: Pick<ListFilter, 'dangling' | 'createdBeforeMs'> = {};
  for (const text of texts) {
    const [key, value] = splitFilter(text);
    if (key === 'dangling') rest = { ...rest, dangling: booleanFilter(key, value) };
    else if (key === 'label') labels.push(labelTest(value));
    else if (key === 'before') before.push(value);
    else if (key === 'since') since.push(value);
    else if (key === 'reference') references.push(value);
    else if (key === 'until') rest = { ...rest, createdBeforeMs: untilMs(value, nowMs) };
    else throw unknownFilter(key, ['dangling', 'label', 'before', 'since', 'reference', 'until']);
  }
  return { ...rest, labels, before, since, references };
}

export interface PruneFilter {
  readonly labels: readonly LabelTest[];
  readonly createdBeforeMs?: number;
}

/** @throws BuildError `usage` */
export function parsePruneFilter(texts: readonly string[], nowMs: number): PruneFilter {
  const labels: LabelTest[] = [];
  let createdBeforeMs: number | undefined;
  for (const text of texts) {
    const [key, value] = splitFilter(text);
    if (key === 'until') createdBeforeMs = untilMs(value, nowMs);
    else if (key === 'label') labels.push(labelTest(value));
    else if (key === 'label!') {
      const test = labelTest(value);
      labels.push(all => !test(all));
    } else throw unknownFilter(key, ['until', 'label', 'label!']);
  }
  return createdBeforeMs === undefined ? { labels } : { labels, createdBeforeMs };
}

/** @throws BuildError `usage` when it is not `key=value` */
export function splitFilter(text: string): readonly [key: string, value: string] {
  const equals = text.indexOf('=');
  if (equals <= 0) {
    throw new BuildError('usage', `"${printable(text)}" is not a filter`, { hint: 'write it as key=value' });
  }
  return [text.slice(0, equals).trim().toLowerCase(), text.slice(equals + 1).trim()];
}

export function unknownFilter(key: string, known: readonly string[]): BuildError {
  return new BuildError('usage', `there is no filter "${printable(key)}"`, {
    hint: `filters are ${known.join(', ')}`,
  });
}

/** As Go reads booleans. @throws BuildError `usage` */
export function booleanFilter(key: string, value: string): boolean {
  if (/^(?:1|t|true|True|TRUE|T)$/.test(value)) return true;
  if (/^(?:0|f|false|False|FALSE|F)$/.test(value)) return false;
  throw new BuildError('usage', `the filter ${key} is true or false, not "${printable(value)}"`);
}

/** `name` or `name=value`. */
function labelTest(text: string): LabelTest {
  const equals = text.indexOf('=');
  if (equals < 0) return labels => Object.hasOwn(labels, text);
  const [name, value] = [text.slice(0, equals), text.slice(equals + 1)];
  return labels => Object.hasOwn(labels, name) && labels[name] === value;
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A Go duration before now, a Unix time, or a date. */
function untilMs(text: string, nowMs: number): number {
  if (/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) {
    let ago = 0;
    for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
      ago += Number(count) * (units[unit ?? ''] ?? 0);
    return nowMs - ago;
  }
  const time = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (Number.isFinite(time)) return time;
  throw new BuildError('usage', `"${printable(text)}" is no time`, {
    hint: 'write a duration (24h), a date (2026-01-31T12:00:00Z) or seconds since 1970',
  });
}

/** @throws BuildError `not-found` for an image that before and since name */
export function filterImages(images: readonly LocalImage[], filter: ListFilter): LocalImage[] {
  const limits = (texts: readonly string[]) => texts.map(text => createdMs(findImage(images, text).image));
  const before = Math.min(...limits(filter.before));
  const since = Math.max(...limits(filter.since));
  return images.flatMap(image => {
    const created = createdMs(image);
    if (filter.dangling !== undefined && filter.dangling !== isDangling(image)) return [];
    if (filter.before.length > 0 && created >= before) return [];
    if (filter.since.length > 0 && created <= since) return [];
    if (filter.createdBeforeMs !== undefined && created >= filter.createdBeforeMs) return [];
    if (!filter.labels.every(test => test(image.config.config.Labels ?? {}))) return [];
    if (filter.references.length === 0) return [image];
    const names = image.names.filter(({ name }) => filter.references.some(pattern => matches(name, pattern)));
    return names.length > 0 ? [{ ...image, names }] : [];
  });
}

/** As docker matches: the pattern is compared with the name, and with the name and its tag or digest, in short form. */
function matches(name: string, pattern: string): boolean {
  const reference = parseReference(name);
  const shapes = [familiarReference(reference), familiarName(reference), name];
  const expression = globExpression(pattern);
  return shapes.some(shape => expression.test(shape)) || (isByDigest({ name }) && pattern === name);
}

/** Go's path.Match: `*` and `?` stop at a slash. */
function globExpression(pattern: string): RegExp {
  let text = '';
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i] ?? '';
    const close = c === '[' ? pattern.indexOf(']', i + 2) : -1;
    if (c === '*') text += text.endsWith('[^/]*') ? '' : '[^/]*';
    else if (c === '?') text += '[^/]';
    else if (close > 0) {
      text += `[${pattern
        .slice(i + 1, close)
        .replaceAll('\\', '\\\\')
        .replaceAll('[', '\\[')}]`;
      i = close;
    } else text += c.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  }
  try {
    return new RegExp(`^${text}$`);
  } catch (cause) {
    throw new BuildError('usage', `"${printable(pattern)}" is not a pattern for references`, { cause });
  }
}
