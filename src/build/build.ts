// The story of one build, top to bottom (src/README.md has the drawing).
import type { BuiltProject } from '../cache/history.ts';
import { openContext } from '../context/open.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { BuildError, type Diagnostic } from '../errors.ts';
import type { FinishedImage } from '../export/finished-image.ts';
import { hostPlatform } from '../image/platform.ts';
import { makeGraph } from '../plan/graph.ts';
import { makeOutline } from '../plan/outline.ts';
import type { Graph, PlannedStage } from '../plan/steps.ts';
import { assemble } from './assemble.ts';
import { findAllBases } from './bases.ts';
import { checkDockerfile } from './check.ts';
import { contextOptions } from './context-options.ts';
import { Journal } from './journal.ts';
import { namedContextsOf, openNamedContexts } from './named-contexts.ts';
import type { BuildRequest } from './request.ts';
import { runGraph } from './scheduler.ts';
import { type Contexts, Sources } from './sources.ts';
import { runStage } from './stage.ts';
import type { StageResult } from './stage-result.ts';
import type { BaseImage, Tools } from './tools.ts';

export interface BuildResult {
  readonly image: FinishedImage;
  readonly warnings: readonly Diagnostic[];
  readonly cachedSteps: number;
  readonly totalSteps: number;
}

/**
 * Builds one platform of a Dockerfile up to the finished image; exporting it is the caller's (build/deliver.ts).
 * @throws BuildError with the code of whatever went wrong; the store is usable afterwards
 */
export async function build(request: BuildRequest, given: Tools): Promise<BuildResult> {
  const { tools, warnings } = keepWarnings(given);
  await using context = await openContext(request.context, contextOptions(request, tools));
  const dockerfile = parseDockerfile(context.dockerfile);
  refuseErrors(dockerfile.diagnostics);
  const named = namedContextsOf(request);
  await using directories = await openNamedContexts(named, request, tools);
  const outline = makeOutline(dockerfile, {
    ...(request.target === undefined ? {} : { target: request.target }),
    ...(request.keepUnused ? { keepUnused: true } : {}),
    buildArgs: request.buildArgs,
    platform: request.platform ?? hostPlatform(),
    platformRequested: request.platform !== undefined,
    buildPlatform: hostPlatform(),
    namedContexts: named,
  });
  const { bases, configs } = await findAllBases(outline, request, tools);
  const graph = makeGraph(outline, configs);
  const findings = [
    ...checkDockerfile({ dockerfile, outline, ignore: context.ignore, configs }),
    ...graph.warnings,
  ];
  for (const diagnostic of findings) tools.emit({ kind: 'warning', diagnostic, atMs: tools.now() });

  const contexts: Contexts = new Map([[undefined, context.tree], ...directories.trees]);
  const results = await execute(graph, contexts, bases, request, tools);
  const target = stageOf(graph, graph.target);
  const result = results.get(graph.target);
  if (!result) throw new BuildError('internal', 'the target stage has no result');
  const epoch = request.sourceDateEpoch ?? outline.sourceDateEpoch;
  const dated = epoch === undefined ? request : { ...request, sourceDateEpoch: epoch };
  const image = await assemble(target, result, dated, tools, tools.signal);
  await tools.store.meta.flush();
  const all = [...results.values()];
  return {
    image,
    warnings,
    cachedSteps: all.reduce((sum, stage) => sum + stage.cachedSteps, 0),
    totalSteps: all.reduce((sum, stage) => sum + stage.totalSteps, 0),
  };
}

/** Tools that note what they are warned about: some of it is found while steps are carried out. */
function keepWarnings(tools: Tools): { readonly tools: Tools; readonly warnings: readonly Diagnostic[] } {
  const warnings: Diagnostic[] = [];
  const emit: Tools['emit'] = event => {
    if (event.kind === 'warning') warnings.push(event.diagnostic);
    tools.emit(event);
  };
  return { tools: { ...tools, emit }, warnings };
}

async function execute(
  graph: Graph,
  contexts: Contexts,
  bases: ReadonlyMap<string, BaseImage>,
  request: BuildRequest,
  tools: Tools,
): Promise<Map<number, StageResult>> {
  const journal = new Journal(request, tools);
  const context = {
    request,
    tools,
    journal,
    sources: new Sources(tools, contexts, bases),
    stages: graph.stages,
    running: new Map(),
  };
  let outcome: BuiltProject['outcome'] = 'failed';
  try {
    const results = await runGraph<number, StageResult>(
      graph.stages.map(stage => stage.index),
      (index, schedule) => runStage(stageOf(graph, index), context, schedule),
      tools.parallelism,
      tools.signal,
    );
    outcome = 'done';
    return results;
  } finally {
    journal.save(tools.signal.aborted ? 'interrupted' : outcome);
    // Finished steps are kept also when a later one failed.
    await tools.store.meta.flush();
  }
}

function stageOf(graph: Graph, index: number): PlannedStage {
  const stage = graph.stages.find(each => each.index === index);
  if (!stage) throw new BuildError('internal', `the plan has no stage ${index}`);
  return stage;
}

/** @throws BuildError `dockerfile` with all errors at once */
export function refuseErrors(diagnostics: readonly Diagnostic[]): void {
  const errors = diagnostics.filter(d => d.severity === 'error');
  const first = errors[0];
  if (!first) return;
  throw new BuildError('dockerfile', first.message, {
    ...(first.hint ? { hint: first.hint } : {}),
    ...(first.range ? { range: first.range } : {}),
    diagnostics: errors,
  });
}
