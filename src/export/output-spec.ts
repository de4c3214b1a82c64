// What `-o` asks for, with the keys of `docker buildx build --output`
// (https://docs.docker.com/build/exporters/): text -> OutputSpec. Pure.
import { BuildError, printable } from '../errors.ts';
import type { Compression } from '../image/media-type.ts';
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';

/** How the layers of an image are packed and what its manifest says. */
export interface ImageOptions {
  /** Full names in place of those of `-t`; absent: those of `-t`. */
  readonly names?: readonly string[];
  /** Absent: the destination's default (docker and image: uncompressed, others: gzip). */
  readonly compression?: Compression;
  /** On the codec's own scale; absent: its default. */
  readonly level?: number;
  /** Layers of the base are packed anew too. Default false. */
  readonly forceCompression: boolean;
  /** OCI media types rather than Docker's. Default true. */
  readonly ociMediaTypes: boolean;
  /** Added to those of `--annotation`, for the manifest. */
  readonly annotations: Readonly<Record<string, string>>;
  /** For the index of several platforms. */
  readonly indexAnnotations: Readonly<Record<string, string>>;
}

/** Where a result goes. `dest` is a path as written; `-` is standard output. */
export type OutputSpec =
  /** An archive for `docker load`. */
  | (ImageOptions & { readonly kind: 'docker'; readonly dest: string })
  /** An OCI image layout: a tar, or with `tar` false a directory. */
  | (ImageOptions & { readonly kind: 'oci'; readonly dest: string; readonly tar: boolean })
  /** The local store, and with `push` the registries of the names. */
  | (ImageOptions & { readonly kind: 'image'; readonly push: boolean; readonly byDigest: boolean })
  | (ImageOptions & { readonly kind: 'registry'; readonly byDigest: boolean })
  /** The file system as a tar. */
  | { readonly kind: 'tar'; readonly dest: string }
  /** The file system as files in a directory; delete: what else is in there goes away. Default copy. */
  | { readonly kind: 'local'; readonly dest: string; readonly mode?: 'delete' }
  /** Nothing: the build fills the cache. */
  | { readonly kind: 'cacheonly' };

export type OutputKind = OutputSpec['kind'];

const imageKeys = [
  'name',
  'compression',
  'compression-level',
  'force-compression',
  'oci-mediatypes',
  'annotation.*',
];

const keysOf: Readonly<Record<OutputKind, readonly string[]>> = {
  docker: ['dest', 'tar', ...imageKeys],
  oci: ['dest', 'tar', ...imageKeys],
  image: ['push', 'push-by-digest', ...imageKeys],
  registry: ['push-by-digest', ...imageKeys],
  tar: ['dest'],
  local: ['dest', 'mode'],
  cacheonly: [],
};

/**
 * @param text `type=oci,dest=app.tar`, a directory (type=local), or `-` (type=tar to standard output)
 * @throws BuildError `usage`, `unsupported`
 */
export function parseOutput(text: string): OutputSpec {
  const fields = splitFields(text);
  const only = fields.length === 1 ? fields[0] : undefined;
  if (only === text && !text.startsWith('type=')) {
    if (text.trim() === '') throw usage(text, 'it is empty', 'write a directory, or type=oci,dest=app.tar');
    return text === '-' ? { kind: 'tar', dest: '-' } : { kind: 'local', dest: text };
  }
  const values = new Map<string, string>();
  for (const field of fields) {
    const [key, value] = splitField(field, text);
    if (values.has(key) && key !== 'name') throw usage(text, `${key} is given twice`);
    const earlier = values.get(key);
    values.set(key, earlier === undefined ? value : `${earlier},${value}`);
  }
  const kind = kindOf(values.get('type'), text);
  values.delete('type');
  for (const key of values.keys()) refuseUnknown(key, kind, text);
  return makeSpec(kind, values, text);
}

function makeSpec(kind: OutputKind, values: ReadonlyMap<string, string>, text: string): OutputSpec {
  switch (kind) {
    case 'docker':
      if (!flag(values, 'tar', true, text)) {
        throw usage(text, 'a docker archive is always a tar', 'use type=oci,tar=false for a directory');
      }
      return { kind, dest: needDest(values, kind, text), ...imageOptions(values, text) };
    case 'oci': {
      const tar = flag(values, 'tar', true, text);
      const dest = tar ? (values.get('dest') ?? '-') : needDest(values, kind, text);
      if (!tar && dest === '-')
        throw usage(text, 'a directory cannot go to standard output', 'leave out tar=false');
      return { kind, dest: notEmpty(dest, 'dest', text), tar, ...imageOptions(values, text) };
    }
    case 'image':
      return {
        kind,
        push: flag(values, 'push', false, text),
        byDigest: flag(values, 'push-by-digest', false, text),
        ...imageOptions(values, text),
      };
    case 'registry':
      return {
        kind,
        byDigest: flag(values, 'push-by-digest', false, text),
        ...imageOptions(values, text),
      };
    case 'tar':
      return { kind, dest: notEmpty(values.get('dest') ?? '-', 'dest', text) };
    case 'local': {
      const dest = needDest(values, kind, text);
      if (dest === '-')
        throw usage(text, 'a directory cannot go to standard output', 'use type=tar for a stream');
      return { kind, dest, ...modeOf(values.get('mode') ?? 'copy', text) };
    }
    case 'cacheonly':
      return { kind };
  }
}

function modeOf(mode: string, text: string): { readonly mode?: 'delete' } {
  if (mode === 'copy') return {};
  if (mode === 'delete') return { mode };
  throw usage(text, `there is no mode "${printable(mode)}"`, 'the modes are copy and delete');
}

/** Comma-separated as in CSV: a field with commas stands in double quotes, a quote in it is doubled. */
function splitFields(text: string): string[] {
  const fields: string[] = [];
  let at = 0;
  while (at <= text.length) {
    if (text[at] === '"') {
      const quoted = /"((?:[^"]|"")*)"(?=,|$)/y;
      quoted.lastIndex = at;
      const body = quoted.exec(text)?.[1];
      if (body === undefined) throw usage(text, 'a double quote is not closed');
      fields.push(body.replaceAll('""', '"'));
      at = quoted.lastIndex + 1;
    } else {
      const comma = text.indexOf(',', at);
      const end = comma < 0 ? text.length : comma;
      fields.push(text.slice(at, end));
      at = end + 1;
    }
  }
  return fields;
}

function splitField(field: string, text: string): [string, string] {
  const at = field.indexOf('=');
  if (at < 0) {
    const hint = field === '' ? 'there is a comma too many' : `write ${printable(field)}=VALUE`;
    throw usage(text, `"${printable(field)}" is not key=value`, hint);
  }
  const key = field.slice(0, at).trim();
  // The key of an annotation is the user's own; what stands before it is not case-sensitive.
  const dot = key.indexOf('.');
  const isAnnotation = /^annotation(-[a-z-]+)?(\[.*\])?$/i.test(dot < 0 ? '' : key.slice(0, dot));
  const name = isAnnotation ? key.slice(0, dot).toLowerCase() + key.slice(dot) : key.toLowerCase();
  return [name, field.slice(at + 1)];
}

function kindOf(type: string | undefined, text: string): OutputKind {
  if (type === undefined) throw usage(text, 'it has no type', `add type=oci, or one of ${list(kinds())}`);
  const kind = kinds().find(name => name === type);
  if (kind) return kind;
  const near = nearest(type, kinds());
  throw usage(
    text,
    `there is no output type "${printable(type)}"`,
    near ? `did you mean ${near}?` : `the types are ${list(kinds())}`,
  );
}

function kinds(): OutputKind[] {
  return Object.keys(keysOf) as OutputKind[];
}

/** Keys of buildx that mean something which slipway does not do. */
const unsupportedKeys: Readonly<Record<string, string>> = {
  'rewrite-timestamp': 'set SOURCE_DATE_EPOCH: times in new layers then become no later than it',
  'platform-split': 'build each platform into a directory of its own',
  context: 'write an archive with dest= and load it into the engine of your choice',
};

function refuseUnknown(key: string, kind: OutputKind, text: string): void {
  const known = keysOf[kind];
  if (known.includes(key)) return;
  if (known.includes('annotation.*') && /^annotation(-manifest|-index)?\../.test(key)) return;
  if (known.includes('annotation.*') && /^annotation[-[]/.test(key)) {
    throw new BuildError('unsupported', `the output key ${printable(key)} is not supported`, {
      hint: 'use annotation.KEY or annotation-index.KEY',
    });
  }
  const instead = unsupportedKeys[key];
  if (instead !== undefined) {
    throw new BuildError('unsupported', `the output key ${key} is not supported`, { hint: instead });
  }
  const near = nearest(key, known);
  const others = known.length > 0 ? `its keys are ${list(known)}` : 'it has no keys';
  throw usage(text, `type=${kind} has no key "${printable(key)}"`, near ? `did you mean ${near}?` : others);
}

function imageOptions(values: ReadonlyMap<string, string>, text: string): ImageOptions {
  const name = values.get('name');
  const names = name === undefined ? undefined : name.split(',').map(fullName);
  const compression = compressionOf(values.get('compression'), text);
  const level = levelOf(values.get('compression-level'), compression, text);
  return {
    ...(names ? { names } : {}),
    ...(compression ? { compression } : {}),
    ...(level === undefined ? {} : { level }),
    forceCompression: flag(values, 'force-compression', false, text),
    ociMediaTypes: flag(values, 'oci-mediatypes', true, text),
    annotations: annotations(values, /^annotation(?:-manifest)?\.(.+)$/),
    indexAnnotations: annotations(values, /^annotation-index\.(.+)$/),
  };
}

function fullName(text: string): string {
  return formatReference(withDefaultTag(parseReference(text.trim())));
}

function annotations(values: ReadonlyMap<string, string>, pattern: RegExp): Record<string, string> {
  const found: [string, string][] = [];
  for (const [key, value] of values) {
    const name = pattern.exec(key)?.[1];
    if (name !== undefined) found.push([name, value]);
  }
  return Object.fromEntries(found);
}

function compressionOf(value: string | undefined, text: string): Compression | undefined {
  switch (value) {
    case undefined:
    case 'uncompressed':
    case 'gzip':
    case 'zstd':
      return value;
    case 'estargz':
      throw new BuildError('unsupported', 'compression=estargz is not supported', {
        hint: 'use gzip or zstd',
      });
    default:
      throw usage(
        text,
        `there is no compression "${printable(value)}"`,
        'the compressions are uncompressed, gzip and zstd',
      );
  }
}

function levelOf(
  value: string | undefined,
  compression: Compression | undefined,
  text: string,
): number | undefined {
  if (value === undefined) return undefined;
  const highest = compression === 'zstd' ? 22 : 9;
  const level = /^\d{1,2}$/.test(value) ? Number(value) : Number.NaN;
  if (!(level >= 0 && level <= highest)) {
    throw usage(
      text,
      `compression-level=${printable(value)} is not a level of ${compression ?? 'gzip'}`,
      `give a number from 0 to ${highest}`,
    );
  }
  return level;
}

/** As Go's strconv.ParseBool, which docker uses. */
function flag(values: ReadonlyMap<string, string>, key: string, fallback: boolean, text: string): boolean {
  const value = values.get(key);
  if (value === undefined) return fallback;
  if (/^(?:1|t|T|true|TRUE|True)$/.test(value)) return true;
  if (/^(?:0|f|F|false|FALSE|False)$/.test(value)) return false;
  throw usage(text, `${key}=${printable(value)} is neither true nor false`);
}

function needDest(values: ReadonlyMap<string, string>, kind: OutputKind, text: string): string {
  const dest = values.get('dest');
  if (dest !== undefined) return notEmpty(dest, 'dest', text);
  throw usage(
    text,
    `type=${kind} needs a destination`,
    kind === 'docker'
      ? 'add dest=FILE, or pipe it into an engine: slipway build -o type=docker,dest=- . | docker load'
      : 'add dest=DIRECTORY',
  );
}

function notEmpty(value: string, key: string, text: string): string {
  if (value === '' || value.includes('\0')) throw usage(text, `${key} is not a path`);
  return value;
}

function usage(text: string, why: string, hint?: string): BuildError {
  return new BuildError(
    'usage',
    `the output "${printable(text)}" cannot be understood: ${why}`,
    hint === undefined ? {} : { hint },
  );
}

function list(names: readonly string[]): string {
  return names.join(', ');
}

/** The candidate that a slip of at most two letters makes out of `text`. */
function nearest(text: string, candidates: readonly string[]): string | undefined {
  const scored = candidates.map(name => ({ name, gap: editDistance(text.slice(0, 40), name) }));
  const best = scored.sort((a, b) => a.gap - b.gap)[0];
  return best && best.gap <= 2 && best.gap < best.name.length ? best.name : undefined;
}

/** Insertions, deletions, changes and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, change, swap));
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? a.length;
}
