// Where steps read from, as trees: a stage as it stands, an image, a context. One view per list of layers.
import { BuildError } from '../errors.ts';
import type { LayerId, View } from '../layer/layers.ts';
import { makeView } from '../layer/view.ts';
import type { Origin } from '../plan/steps.ts';
import type { FileTree } from '../tree/file-tree.ts';
import type { BaseImage, Tools } from './tools.ts';

/** A context that steps can copy from, opened before the build begins. */
export type Contexts = ReadonlyMap<string | undefined, FileTree>;

export class Sources {
  readonly #tools: Tools;
  readonly #contexts: Contexts;
  readonly #bases: ReadonlyMap<string, BaseImage>;
  readonly #views = new Map<string, Promise<View>>();

  constructor(tools: Tools, contexts: Contexts, bases: ReadonlyMap<string, BaseImage>) {
    this.#tools = tools;
    this.#contexts = contexts;
    this.#bases = bases;
  }

  base(id: string): BaseImage {
    const base = this.#bases.get(id);
    if (!base) throw new BuildError('internal', `the plan names an image that was not looked up: ${id}`);
    return base;
  }

  /** The context called `name`; the build context without one. */
  context(name: string | undefined): FileTree {
    const tree = this.#contexts.get(name);
    if (!tree) throw new BuildError('internal', `the plan names a context that was not opened: ${name}`);
    return tree;
  }

  /**
   * The file system that `layers` make, lowest first; remembered.
   * @param need `names` where nothing but etc/passwd and etc/group will be read: a base need not be written out for it
   */
  view(
    layers: readonly LayerId[],
    description: string,
    signal: AbortSignal,
    need: 'names' | 'contents' = 'contents',
  ): Promise<View> {
    const key = `${need} ${layers.join(' ')}`;
    let view = this.#views.get(key);
    if (!view) {
      view = Promise.all(layers.map(id => this.#tools.layers.index(id, signal, need))).then(indexes =>
        makeView(indexes, description),
      );
      view.catch(() => this.#views.delete(key));
      this.#views.set(key, view);
    }
    return view;
  }
}

/** For messages. */
export function describeOrigin(origin: Origin, labelOf: (stage: number) => string): string {
  switch (origin.kind) {
    case 'scratch':
      return 'scratch';
    case 'image':
      return `image ${origin.base.split('|')[0]}`;
    case 'stage':
      return `stage "${labelOf(origin.stage)}"`;
    case 'context':
      return origin.name ? `context "${origin.name}"` : 'the build context';
  }
}
