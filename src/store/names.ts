// Image names. The database holds them; index.json repeats them for other tools that read the layout (image-layout.md,
// with containerd's annotation for the full name). Both change inside one exclusive transaction, so no process loses
// what another one wrote.
import { join } from 'node:path';
import { writeFileAtomically } from '../host/temp.ts';
import { type Descriptor, descriptorFromJson, descriptorToJson } from '../image/descriptor.ts';
import { isDigest } from '../image/digest.ts';
import { annotationKeys, indexText, nameAnnotations } from './layout-index.ts';
import type { LmdbMeta, Transaction } from './meta.ts';
import type { NamedImage, Names } from './store.ts';

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

  async set(name: string, descriptor: Descriptor): Promise<void> {
    await this.#meta.flush(); // what the name reaches must not be lost after the name was kept
    const at = this.#now().toISOString();
    this.#meta.exclusively(tx => {
      tx.set('names', name, { descriptor: descriptorToJson(descriptor), at });
      this.#writeIndex(tx);
    });
    await this.#meta.flush();
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
      for (const { name, descriptor } of namesInIndex(index)) {
        if (tx.get('names', name) !== undefined) continue;
        tx.set('names', name, { descriptor: descriptorToJson(descriptor), at: this.#now().toISOString() });
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
    const manifests = namedIn(tx.entries('names')).map(named =>
      descriptorToJson({
        ...named.descriptor,
        annotations: { ...named.descriptor.annotations, ...nameAnnotations(named.name) },
      }),
    );
    writeFileAtomically(this.#indexPath, indexText(manifests), 0o600);
  }
}

function namedIn(entries: Iterable<readonly [string, unknown]>): NamedImage[] {
  return [...entries].flatMap(([name, value]) => toNamed(name, value) ?? []);
}

function toNamed(name: string, value: unknown): NamedImage | undefined {
  const fact = value as { descriptor?: unknown; at?: unknown } | undefined;
  if (typeof fact?.at !== 'string') return undefined;
  try {
    return { name, descriptor: descriptorFromJson(fact.descriptor, name), at: fact.at };
  } catch {
    return undefined; // written by another version: as good as absent
  }
}

function* namesInIndex(index: unknown): Iterable<{ name: string; descriptor: Descriptor }> {
  const manifests = (index as { manifests?: unknown } | null)?.manifests;
  if (!Array.isArray(manifests)) return;
  for (const entry of manifests) {
    if (!isDigest(entry?.digest)) continue;
    const descriptor = descriptorFromJson(entry, 'an entry of index.json');
    const { [annotationKeys.name]: name, [annotationKeys.tag]: _tag, ...rest } = descriptor.annotations ?? {};
    if (name === undefined) continue;
    const { annotations: _all, ...plain } = descriptor;
    yield {
      name,
      descriptor: Object.keys(rest).length > 0 ? { ...plain, annotations: rest } : plain,
    };
  }
}
