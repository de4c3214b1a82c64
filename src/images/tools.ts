// What image commands may use. cli/wire.ts picks the real ones.
import type { Layers } from '../layer/layers.ts';
import type { Registries } from '../registry/registry.ts';
import type { BlobSource, Store } from '../store/store.ts';

export interface ImageTools {
  readonly store: Store;
  readonly layers: Layers;
  /** Gets blobs that are not in the store from where it remembers them to be. */
  readonly source: BlobSource;
  /** Opened when something is first asked of a registry. */
  registries(): Promise<Registries>;
  /** Paths are relative to this directory. */
  readonly cwd: string;
  readonly signal: AbortSignal;
}
