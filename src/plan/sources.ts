// Names that files come from: what FROM, COPY --from and the `from` of a mount may say, resolved to an Origin.

import type { StageInstruction } from '../dockerfile/instructions.ts';
import { didYouMean } from '../dockerfile/suggest.ts';
import { expandWord } from '../dockerfile/words.ts';
import { printable, type SourceRange } from '../errors.ts';
import { formatPlatform, type Platform } from '../image/platform.ts';
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { type FoundContext, findContext, type PlanOptions } from './options.ts';
import { at, invalid } from './problems.ts';
import type { BaseRequest, Origin } from './steps.ts';

/** An origin, and for an image the request that fetches it. */
export interface Source {
  readonly origin: Origin;
  readonly base?: BaseRequest;
}

/** Index of each stage name, in lower case; of a repeated name the last. */
export type StageNames = ReadonlyMap<string, number>;

/** What names are looked up in. */
export interface SourceScope {
  readonly options: PlanOptions;
  readonly names: StageNames;
  readonly stageCount: number;
}

/** Places of images that are no registry. */
const transport = /^(?:oci-layout:\/\/|docker-image:\/\/|docker:\/\/|oci-archive:|docker-archive:|oci:[./])/;

/** An image. @throws BuildError `dockerfile` when `reference` names none */
export function imageSource(reference: string, platform: Platform, range: SourceRange): Source {
  const full = transport.test(reference)
    ? reference
    : at(range, () => formatReference(withDefaultTag(parseReference(reference))));
  const id = `${full}|${formatPlatform(platform)}`;
  return { origin: { kind: 'image', base: id }, base: { id, reference, platform, range } };
}

/** What a named context stands for. @throws BuildError `dockerfile` when it names a missing stage */
export function contextSource(
  found: FoundContext,
  platform: Platform,
  range: SourceRange,
  names: StageNames,
): Source {
  const { name, context } = found;
  if (context.kind === 'directory') return { origin: { kind: 'context', name } };
  if (context.kind === 'image') return imageSource(context.reference, platform, range);
  const stage = names.get(context.stage.toLowerCase());
  if (stage === undefined) {
    const hint = didYouMean(context.stage, names.keys());
    throw invalid(
      `the build context ${printable(name)} stands for the stage ${printable(context.stage)}, which is not there`,
      range,
      hint === undefined ? {} : { hint },
    );
  }
  return { origin: { kind: 'stage', stage } };
}

/** A place where an instruction reads files of a stage or an image. */
export interface SourceUse {
  readonly from: string;
  /** A number is the index of a stage (COPY --from), not a name. */
  readonly allowsIndex: boolean;
  readonly range: SourceRange;
}

/** `--from` of COPY and of the mounts of RUN, as far as written; for a mount its position too. */
export function usesOf(line: StageInstruction): SourceUse[] {
  if (line.kind === 'copy' || line.kind === 'add') {
    return line.from?.raw ? [{ from: line.from.raw, allowsIndex: true, range: line.from.range }] : [];
  }
  if (line.kind !== 'run') return [];
  return line.mounts.flatMap(mount => {
    if (mount.type !== 'bind' && mount.type !== 'cache') return [];
    const from = mount.fields.find(field => field.key === 'from')?.value;
    return from ? [{ from, allowsIndex: false, range: mount.text.range }] : [];
  });
}

/**
 * A stage (any place in the file, any case), a stage's index, a named context or an image.
 * @throws BuildError `dockerfile` for a variable, an index outside the list, a name that is no image either
 */
export function resolveUse(use: SourceUse, scope: SourceScope): Source {
  const { from, range } = use;
  if (at(range, () => expandWord(from, new Map(), '\\')).value !== from) {
    throw invalid('variables are not expanded in --from', range, {
      hint: 'add a stage `FROM ${NAME} AS name`, which may use ARGs before the first FROM, and copy from that',
    });
  }
  if (use.allowsIndex && /^[+-]?\d+$/.test(from)) {
    const index = Number(from);
    if (index >= 0 && index < scope.stageCount) return { origin: { kind: 'stage', stage: index } };
    throw invalid(`invalid stage index ${index}`, range, {
      hint: `stages are counted from 0 to ${scope.stageCount - 1}`,
    });
  }
  const stage = scope.names.get(from.toLowerCase());
  if (stage !== undefined) return { origin: { kind: 'stage', stage } };
  if (from === 'scratch') return { origin: { kind: 'scratch' } };
  const { platform } = scope.options;
  const context = findContext(scope.options, from, platform);
  return context ? contextSource(context, platform, range, scope.names) : imageSource(from, platform, range);
}
