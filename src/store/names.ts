// Image names. The database holds them; index.json repeats them for other tools that read the layout (image-layout.md,
// with containerd's annotation for the full name). Both change inside one exclusive transaction, so no process loses
// what another one wrote. An image without a name stands under its digest, and in index.json without a name.
import { join } from 'node:path';
import { writeFileAtomically } from '../host/temp.ts';
import { type Descriptor, descriptorFromJson, descriptorToJson } from '../image/descriptor.ts';
import { type Digest, isDigest } from '../image/digest.ts';
import { annotationKeys, indexText, nameAnnotations } from './layout-index.ts';
import type { LmdbMeta, Transaction } from './meta.ts';
import type { NamedImage, NameOrigin, Names, UntaggedImage } from './store.ts';

/** Before a digest, in place of a name. No name starts with it. */
const untaggedPrefix = '@';

/** Annotation of an entry of our index.json: where the name came from, unless it was given here. */
const originKey = 'io.slipway.name.origin';

export class MetaNames implements Names {
  readonly #indexPath: string;
  readonly #meta: LmdbMeta;
  readonly #now: () => Date;

  constructor(root: string, meta: LmdbMeta, now: () => Date) {
    this.#indexPath = join(root, 'index.json');
    this.#meta = meta;
    this.#now = now;
  }

  get(name: string): NamedImage | undefined {
    return toNamed(name, this.#meta.get('names', name));
  }

  async set(name: string, descriptor: Descriptor, from: NameOrigin = 'here'): Promise<void> {
    await this.#meta.flush(); // what the name reaches must not be lost after the name was kept
    this.#meta.exclusively(tx => {
      const before = toNamed(name, tx.get('names', name))?.descriptor;
      tx.set('names', name, this.#fact(descriptor, from));
      tx.delete('names', untaggedPrefix + descriptor.digest);
      if (before && !namedIn(tx.entries('names')).some(other => other.descriptor.digest === before.digest))
        tx.set('names', untaggedPrefix + before.digest, this.#fact(before));
      this.#writeIndex(tx);
    });
    await this.#meta.flush();
  }

  async keep(descriptor: Descriptor): Promise<void> {
    await this.#meta.flush();
    this.#meta.exclusively(tx => {
      if (namedIn(tx.entries('names')).some(other => other.descriptor.digest === descriptor.digest)) return;
      tx.set('names', untaggedPrefix + descriptor.digest, this.#fact(descriptor));
      this.#writeIndex(tx);
    });
    await this.#meta.flush();
  }

  drop(digest: Digest): Promise<boolean> {
    return this.delete(untaggedPrefix + digest);
  }

  untagged(): readonly UntaggedImage[] {
    return untaggedIn(this.#meta.entries('names'));
  }

  #fact(descriptor: Descriptor, from: NameOrigin = 'here') {
    const origin = from === 'here' ? {} : { from };
    return { descriptor: descriptorToJson(descriptor), at: this.#now().toISOString(), ...origin };
  }

  async delete(name: string): Promise<boolean> {
    const existed = this.#meta.exclusively(tx => {
      if (tx.get('names', name) === undefined) return false;
      tx.delete('names', name);
      this.#writeIndex(tx);
      return true;
    });
    await this.#meta.flush();
    return existed;
  }

  list(): readonly NamedImage[] {
    return namedIn(this.#meta.entries('names'));
  }

  /** Takes the names of index.json into a database that lost them; names that it has are kept. @returns how many were taken */
  restore(index: unknown): number {
    return this.#meta.exclusively(tx => {
      let count = 0;
      for (const { name, descriptor, from } of namesInIndex(index)) {
        if (tx.get('names', name) !== undefined) continue;
        tx.set('names', name, this.#fact(descriptor, from));
        count += 1;
      }
      return count;
    });
  }

  /** Writes index.json from the names. */
  writeIndex(): void {
    this.#meta.exclusively(tx => this.#writeIndex(tx));
  }

  #writeIndex(tx: Transaction): void {
    const named = namedIn(tx.entries('names')).map(({ name, descriptor, from }) =>
      descriptorToJson({
        ...descriptor,
        annotations: {
          ...descriptor.annotations,
          ...nameAnnotations(name),
          ...(from === 'here' ? {} : { [originKey]: from }),
        },
      }),
    );
    const untagged = untaggedIn(tx.entries('names')).map(image => descriptorToJson(image.descriptor));
    const manifests = [...named, ...untagged];
    writeFileAtomically(this.#indexPath, indexText(manifests), 0o600);
  }
}

function namedIn(entries: Iterable<readonly [string, unknown]>): NamedImage[] {
  return [...entries].flatMap(([name, value]) =>
    name.startsWith(untaggedPrefix) ? [] : (toNamed(name, value) ?? []),
  );
}

function untaggedIn(entries: Iterable<readonly [string, unknown]>): UntaggedImage[] {
  return [...entries].flatMap(([key, value]) => {
    const image = key.startsWith(untaggedPrefix) ? toNamed(key, value) : undefined;
    return image ? [{ descriptor: image.descriptor, at: image.at }] : [];
  });
}

function toNamed(name: string, value: unknown): NamedImage | undefined {
  const fact = value as { descriptor?: unknown; at?: unknown; from?: unknown } | undefined;
  if (typeof fact?.at !== 'string') return undefined;
  try {
    return {
      name,
      descriptor: descriptorFromJson(fact.descriptor, name),
      at: fact.at,
      from: originOf(fact.from),
    };
  } catch {
    return undefined; // written by another version: as good as absent
  }
}

function originOf(value: unknown): NameOrigin {
  return value === 'registry' || value === 'file' ? value : 'here';
}

function* namesInIndex(index: unknown): Iterable<{ name: string; descriptor: Descriptor; from: NameOrigin }> {
  const manifests = (index as { manifests?: unknown } | null)?.manifests;
  if (!Array.isArray(manifests)) return;
  for (const entry of manifests) {
    if (!isDigest(entry?.digest)) continue;
    const descriptor = descriptorFromJson(entry, 'an entry of index.json');
    const {
      [annotationKeys.name]: name,
      [annotationKeys.tag]: _tag,
      [originKey]: from,
      ...rest
    } = descriptor.annotations ?? {};
    const { annotations: _all, ...plain } = descriptor;
    yield {
      name: name ?? untaggedPrefix + descriptor.digest,
      from: originOf(from),
      descriptor: Object.keys(rest).length > 0 ? { ...plain, annotations: rest } : plain,
    };
  }
}
