// SOURCE_DATE_EPOCH: seconds since 1970, or the name of something that has a date. Names are those of BuildKit:
// https://github.com/moby/buildkit/blob/master/docs/build-repro.md#source_date_epoch

import type { Dockerfile, Stage } from '../dockerfile/instructions.ts';
import { didYouMean } from '../dockerfile/suggest.ts';
import { expandWord } from '../dockerfile/words.ts';
import { BuildError, printable, type SourceRange } from '../errors.ts';
import { emptyConfig } from '../image/config.ts';
import { declareArgs, emptyScope, type GlobalScope, withEnv } from './args.ts';
import { planCopy } from './copy.ts';
import { findContext, type PlanOptions } from './options.ts';
import { at, invalid } from './problems.ts';
import { beginStage, type StageContext } from './state.ts';
import type { CopyItem, CopyStep } from './steps.ts';

export type EpochSource =
  | { readonly kind: 'seconds'; readonly seconds: number }
  /** The build context, or the named one that is files. */
  | { readonly kind: 'context'; readonly name?: string }
  /** A named context that is an image. */
  | { readonly kind: 'image'; readonly name: string }
  /** A stage that is one remote ADD and nothing else. */
  | { readonly kind: 'add'; readonly item: RemoteItem; readonly flags: RemoteFlags };

export type RemoteItem = Extract<CopyItem, { readonly kind: 'url' | 'git' }>;
export type RemoteFlags = Pick<CopyStep, 'checksum' | 'keepGitDir'>;

const name = 'SOURCE_DATE_EPOCH';

/**
 * From a build arg or an ARG before the first FROM; undefined when there is none.
 * @throws BuildError `usage` or `dockerfile` when it is neither a number nor a name, or its stage has no date
 */
export function epochSource(
  dockerfile: Dockerfile,
  globals: GlobalScope,
  options: PlanOptions,
): EpochSource | undefined {
  const text = options.buildArgs.get(name) ?? globals.values.get(name);
  if (options.undated || text === undefined || text === '') return undefined;
  if (/^[+-]?\d{1,12}$/.test(text)) return { kind: 'seconds', seconds: Number(text) };
  if (text === 'context') return { kind: 'context' };
  const found = findContext(options, text, options.platform);
  if (found?.context.kind === 'directory') return { kind: 'context', name: found.name };
  if (found?.context.kind === 'image') return { kind: 'image', name: found.name };
  const wanted = found?.context.kind === 'target' ? found.context.stage : text;
  const stage = dockerfile.stages.find(each => each.name?.toLowerCase() === wanted.toLowerCase());
  if (stage === undefined) throw unknown(text, dockerfile, globals, options);
  return stageSource(stage, dockerfile, globals, options);
}

function unknown(
  text: string,
  dockerfile: Dockerfile,
  globals: GlobalScope,
  { buildArgs, namedContexts }: PlanOptions,
): BuildError {
  const names = [...namedContexts.keys(), ...dockerfile.stages.flatMap(stage => stage.name ?? [])];
  const hint = didYouMean(text, ['context', ...names]) ?? 'a name is context, a named context or a stage';
  const message = `${name} must be a number of seconds since 1970 or a name, not "${printable(text)}"`;
  const declared = globals.declared.find(arg => arg.name === name);
  if (declared === undefined || buildArgs.has(name)) return new BuildError('usage', message, { hint });
  return invalid(message, declared.range, { hint });
}

/** Only what can be told without building anything: `FROM scratch`, ARG, and a single ADD of one remote source. */
function stageSource(
  stage: Stage,
  dockerfile: Dockerfile,
  globals: GlobalScope,
  options: PlanOptions,
): EpochSource {
  const { escape: escapeChar } = dockerfile.directives;
  const { image } = stage.from;
  const variables = [...globals.values].filter(([key]) => key !== name);
  const base = at(image.range, () => expandWord(image.raw, new Map(variables), escapeChar)).value;
  const refuse = (range: SourceRange, found: string) =>
    invalid(`${name} names the stage "${printable(stage.name ?? '')}", which ${found}`, range, {
      hint: 'a stage has a date when it is FROM scratch and one ADD of a URL or a git repository',
    });
  if (base !== 'scratch') throw refuse(image.range, `starts from ${printable(base)}`);
  const context: StageContext = {
    args: {
      buildArgs: options.buildArgs,
      globals: { ...globals, values: new Map(variables) },
      escape: escapeChar,
    },
    sources: { options, names: new Map(), stageCount: dockerfile.stages.length },
  };
  let state = beginStage(emptyConfig(options.platform).config, withEnv(emptyScope, variables));
  let source: EpochSource | undefined;
  for (const line of stage.instructions) {
    if (line.kind === 'arg') {
      state = { ...state, scope: declareArgs(state.scope, line, context.args).scope };
      continue;
    }
    if (line.kind !== 'add') throw refuse(line.range, `has ${line.kind.toUpperCase()}`);
    if (source !== undefined) throw refuse(line.range, 'has a second ADD');
    const part = planCopy(line, state, context);
    const [item, ...others] = part.items;
    if (others.length > 0) throw refuse(line.range, 'adds several sources');
    if (item?.kind !== 'url' && item?.kind !== 'git') throw refuse(line.range, 'adds what is not remote');
    source = { kind: 'add', item, flags: part };
  }
  if (source === undefined) throw refuse(stage.from.range, 'has no ADD');
  return source;
}
