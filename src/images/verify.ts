// Reads the store again and says what is not as it was when it was put there: blobs by their digests, unpacked layers by
// what they looked like, facts of the database by their checksums, images by whether what they lead to can be had. Builds
// notice damage where they meet it; this finds it before.
import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { removeTree } from '../host/temp.ts';
import { type Digest, digestFromHash, isDigest } from '../image/digest.ts';
import { type Manifest, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import { treeProblem } from '../layer/tree-checks.ts';
import { bucketsOf, layoutsOf, originsOf } from '../registry/pull.ts';
import type { Descriptor, Store } from '../store/store.ts';

export interface Damage {
  /** image: it lacks something that nobody is known to have; all others can be removed and made or fetched again. */
  readonly kind: 'blob' | 'tree' | 'fact' | 'image';
  /** Digest, tree id, key in the database, or name. */
  readonly id: string;
  /** What is wrong, to stand behind the id. */
  readonly problem: string;
}

export interface Verification {
  readonly blobs: number;
  readonly bytes: number;
  readonly trees: number;
  readonly images: number;
  readonly damage: readonly Damage[];
}

export interface VerifyOptions {
  /** Removes what is damaged. What images lack is told as it is afterwards. */
  readonly repair: boolean;
  readonly signal: AbortSignal;
}

const algorithms = ['sha256', 'sha512'] as const;
const readBytes = 1024 * 1024;
const maxDepth = 4;

/** What others remove meanwhile is not damage. @throws BuildError `store` when the store cannot be read */
export async function verifyStore(store: Store, options: VerifyOptions): Promise<Verification> {
  const blobs = await verifyBlobs(store, options);
  const trees = await verifyTrees(store, options);
  const facts = store.meta.damaged().map(id => damaged('fact', id, 'does not have its checksum'));
  const removable = [...blobs.damage, ...trees.damage, ...facts];
  if (options.repair) for (const each of removable) await remove(store, each);
  await store.meta.flush();
  const images = await verifyImages(store);
  return {
    blobs: blobs.count,
    bytes: blobs.bytes,
    trees: trees.count,
    images: images.count,
    damage: [...removable, ...images.damage],
  };
}

function damaged(kind: Damage['kind'], id: string, problem: string): Damage {
  return { kind, id, problem };
}

async function remove(store: Store, { kind, id }: Damage): Promise<void> {
  if (kind === 'tree' && /^[a-z0-9-]+$/.test(id)) await store.trees.remove(id);
  else if (kind === 'tree') await removeTree(join(store.root, 'trees', id));
  else if (kind === 'fact') store.meta.forget(id);
  else if (kind === 'blob' && isDigest(id)) await store.blobs.remove(id);
  else await removeTree(join(store.root, 'blobs', id.replace(':', '/')));
}

interface Found {
  readonly count: number;
  readonly damage: readonly Damage[];
}

async function verifyBlobs(
  store: Store,
  { signal }: VerifyOptions,
): Promise<Found & { readonly bytes: number }> {
  const damage: Damage[] = [];
  let [count, bytes] = [0, 0];
  for (const algorithm of algorithms) {
    const dir = join(store.root, 'blobs', algorithm);
    for (const name of namesIn(dir)) {
      signal.throwIfAborted();
      const stat = lstatSync(join(dir, name), { throwIfNoEntry: false });
      if (stat === undefined) continue;
      count++;
      bytes += stat.size;
      const id = `${algorithm}:${name}`;
      if (!isDigest(id)) damage.push(damaged('blob', id, 'has a name that is no digest'));
      else if (!stat.isFile()) damage.push(damaged('blob', id, 'is no regular file'));
      else {
        const found = await digestOfFile(join(dir, name), algorithm, signal);
        if (found === 'unreadable') damage.push(damaged('blob', id, 'cannot be read (EIO)'));
        else if (found !== undefined && found !== id) damage.push(damaged('blob', id, `holds ${found}`));
      }
    }
  }
  return { count, bytes, damage };
}

/** undefined: it is gone; unreadable: the disk does not give it. */
async function digestOfFile(
  path: string,
  algorithm: (typeof algorithms)[number],
  signal: AbortSignal,
): Promise<Digest | 'unreadable' | undefined> {
  const hash = createHash(algorithm);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: readBytes, signal }))
      hash.update(chunk);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    signal.throwIfAborted();
    if (errnoOf(error) === 'EIO') return 'unreadable';
    throw new BuildError('store', `${printable(path)} cannot be read (${errnoOf(error)})`, {
      cause: error,
      facts: { path },
    });
  }
  return digestFromHash(hash.digest('hex'), algorithm);
}

async function verifyTrees(store: Store, { signal }: VerifyOptions): Promise<Found> {
  const names = namesIn(join(store.root, 'trees'));
  const damage: Damage[] = [];
  for (const id of names) {
    // To look at a tree takes the thread: ctrl-C is heard in between.
    await setImmediate();
    signal.throwIfAborted();
    const problem = treeProblem(store, id);
    if (problem !== undefined) damage.push(damaged('tree', id, problem));
  }
  return { count: names.length, damage };
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir).sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw new BuildError('store', `${printable(dir)} cannot be read (${errnoOf(error)})`, {
      cause: error,
      facts: { path: dir },
    });
  }
}

async function verifyImages(store: Store): Promise<Found> {
  const roots = [
    ...store.names.list().map(({ name, descriptor }) => ({ name, descriptor })),
    ...store.names.untagged().map(({ descriptor }) => ({ name: descriptor.digest as string, descriptor })),
  ];
  const damage: Damage[] = [];
  for (const { name, descriptor } of roots) {
    for (const lack of await lacksOf(store, descriptor, new Set(), 0))
      damage.push(damaged('image', name, lack));
  }
  return { count: roots.length, damage };
}

/** @param seen documents that were looked at already, which need no second look */
async function lacksOf(
  store: Store,
  document: Descriptor,
  seen: Set<Digest>,
  depth: number,
): Promise<readonly string[]> {
  if (seen.has(document.digest)) return [];
  seen.add(document.digest);
  if (!isHere(store, document)) return [`lacks its manifest ${document.digest}`];
  if (depth > maxDepth) return ['is nested too deeply'];
  try {
    const bytes = await store.blobs.read(document.digest, maxManifestBytes);
    const manifest = parseManifest(bytes, document.mediaType);
    if (manifest.kind !== 'index') return lackingBlobs(store, manifest);
    // The others are of platforms that were never asked for.
    const here = manifest.manifests.filter(child => isHere(store, child));
    if (here.length === 0 && manifest.manifests.length > 0) return ['has none of its platforms'];
    const lacks: string[] = [];
    for (const child of here) lacks.push(...(await lacksOf(store, child, seen, depth + 1)));
    return lacks;
  } catch (error) {
    return [`has a manifest that cannot be read: ${messageOf(error)}`];
  }
}

/** Without marking the blob as used. */
function isHere(store: Store, { digest }: Pick<Descriptor, 'digest'>): boolean {
  return store.blobs.size(digest) !== undefined;
}

function lackingBlobs(store: Store, manifest: Manifest): readonly string[] {
  return [
    ['config', manifest.config] as const,
    ...manifest.layers.map(layer => ['layer', layer] as const),
  ].flatMap(([what, { digest }]) =>
    isHere(store, { digest }) || canBeHad(store, digest) ? [] : [`lacks its ${what} ${digest}`],
  );
}

function canBeHad(store: Store, digest: Digest): boolean {
  return [originsOf, layoutsOf, bucketsOf].some(places => places(store, digest).length > 0);
}
