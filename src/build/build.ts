// The story of one build, top to bottom (src/README.md has the drawing).
import type { BuiltProject } from '../cache/history.ts';
import { type OpenedContext, openContext } from '../context/open.ts';
import type { Dockerfile } from '../dockerfile/instructions.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { BuildError, type Diagnostic } from '../errors.ts';
import type { FinishedImage } from '../export/finished-image.ts';
import { hostPlatform, type Platform } from '../image/platform.ts';
import { refuseUnreadable } from '../plan/faults.ts';
import { makeGraph } from '../plan/graph.ts';
import { type NamedContext, type PlanOptions, planOptions } from '../plan/options.ts';
import { makeOutline, type Outline } from '../plan/outline.ts';
import type { PlannedStage } from '../plan/steps.ts';
import type { FileTree } from '../tree/file-tree.ts';
import { assemble } from './assemble.ts';
import { findAllBases, type Lookups } from './bases.ts';
import { checkDockerfile } from './check.ts';
import { contextOptions } from './context-options.ts';
import { refuseImpossible } from './demands.ts';
import { findStepDevices, type StepDevices } from './devices.ts';
import { type ResolvedEpoch, resolveEpoch } from './epoch.ts';
import { Journal } from './journal.ts';
import { refuseMissingSources } from './missing-sources.ts';
import { namedContextsOf, type OpenedContexts, openNamedContexts } from './named-contexts.ts';
import { checkFilter } from './no-cache-filter.ts';
import { refuseRemoteContexts, refuseRemoteSources } from './offline.ts';
import {
  type JoinedGraph,
  joinGraphs,
  type PlatformGraph,
  refuseForeignRuns,
  withoutRepetition,
} from './platforms.ts';
import type { BuildRequest } from './request.ts';
import { runGraph } from './scheduler.ts';
import { type Contexts, Sources } from './sources.ts';
import { runStage } from './stage.ts';
import type { StageResult } from './stage-result.ts';
import type { BaseImage, Tools } from './tools.ts';

export interface BuildResult {
  /** One for each platform, in the order in which they were asked for. */
  readonly images: readonly FinishedImage[];
  readonly warnings: readonly Diagnostic[];
  readonly cachedSteps: number;
  readonly totalSteps: number;
}

/**
 * Builds a Dockerfile up to the finished image, or one for each platform; exporting is the caller's (build/deliver.ts).
 * @throws BuildError with the code of whatever went wrong; the store is usable afterwards
 */
export async function build(request: BuildRequest, given: Tools): Promise<BuildResult> {
  const { tools, warnings } = keepWarnings(given);
  if (request.offline) refuseRemoteContexts(request);
  await using context = await openContext(request.context, contextOptions(request, tools));
  const dockerfile = parseDockerfile(context.dockerfile);
  const named = namedContextsOf(request);
  const platforms = platformsOf(request);
  const options = { ...planOptionsOf(request, platforms[0]), namedContexts: named };
  refuseUnreadable(dockerfile, options);
  await using files = await openNamedContexts(named, request, tools);
  const epoch = await resolveEpoch({ dockerfile, options, context, named: files.contexts, request, tools });
  const plan = { dockerfile, named, context, request, epoch, tools, lookups: new Map() };
  const plans = await allOf(platforms.map(platform => planFor(platform, plan)));
  const graph = joinGraphs(plans);
  for (const diagnostic of withoutRepetition(plans.flatMap(plan => plan.findings)))
    tools.emit({ kind: 'warning', diagnostic, atMs: tools.now() });
  await refuseForeignRuns(graph.stages, async platform =>
    (await import('../sandbox/emulation.ts')).canRun(platform),
  );
  const devices = await findStepDevices(graph.stages, request, tools);
  await refuseImpossible(graph.stages, devices, request, tools);

  const contexts: Contexts = new Map([[undefined, context.tree], ...treesOf(files)]);
  const bases = new Map(plans.flatMap(plan => [...plan.bases]));
  const sources = new Sources(tools, contexts, bases);
  refuseMissingSources(graph.stages, sources);
  const results = await execute(graph, { sources, devices }, request, tools);
  const sourceDateEpoch = request.sourceDateEpoch ?? plans[0]?.outline.sourceDateEpoch;
  const dated = sourceDateEpoch === undefined ? request : { ...request, sourceDateEpoch };
  const images = await allOf(
    graph.targets.map(index => {
      const result = results.get(index);
      if (!result) throw new BuildError('internal', 'the target stage has no result');
      return assemble(stageOf(graph, index), result, dated, tools, tools.signal);
    }),
  );
  await tools.store.meta.flush();
  const all = [...results.values()];
  return {
    images,
    warnings,
    cachedSteps: all.reduce((sum, stage) => sum + stage.cachedSteps, 0),
    totalSteps: all.reduce((sum, stage) => sum + stage.totalSteps, 0),
  };
}

/** Everything is seen to its end, also after a failure: nothing may go on behind the caller's back. */
async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

function platformsOf({ platforms = [], platform }: BuildRequest): readonly (Platform | undefined)[] {
  return platforms.length > 0 ? platforms : [platform];
}

interface Plan extends PlatformGraph {
  readonly outline: Outline;
  readonly bases: ReadonlyMap<string, BaseImage>;
  readonly findings: readonly Diagnostic[];
}

/** What the plans of all platforms are made from. */
interface Planning {
  readonly dockerfile: Dockerfile;
  readonly named: ReadonlyMap<string, NamedContext>;
  readonly context: OpenedContext;
  readonly request: BuildRequest;
  readonly epoch: ResolvedEpoch;
  readonly tools: Tools;
  readonly lookups: Lookups;
}

function treesOf({ contexts }: OpenedContexts): (readonly [string, FileTree])[] {
  return [...contexts].map(([name, { tree }]) => [name, tree]);
}

function planOptionsOf(request: BuildRequest, asked: Platform | undefined): PlanOptions {
  return planOptions(asked ?? hostPlatform(), {
    ...(request.target === undefined ? {} : { target: request.target }),
    ...(request.keepUnused ? { keepUnused: true } : {}),
    buildArgs: request.buildArgs,
    platformRequested: asked !== undefined,
    buildPlatform: hostPlatform(),
  });
}

/** @param asked absent: the machine's platform, and the image says what its base says */
async function planFor(
  asked: Platform | undefined,
  { dockerfile, named, context, request, epoch, tools, lookups }: Planning,
): Promise<Plan> {
  const options = { ...planOptionsOf(request, asked), namedContexts: named, ...epoch };
  const outline = makeOutline(dockerfile, options);
  const { bases, configs } = await findAllBases(outline, request, tools, lookups);
  const graph = makeGraph(outline, configs);
  if (request.offline) refuseRemoteSources(graph);
  const checked = checkDockerfile({ dockerfile, outline, ignore: context.ignore, configs });
  const findings = [...checked, ...graph.warnings, ...checkFilter(dockerfile, request)];
  return { platform: options.platform, outline, bases, graph, findings };
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
  graph: JoinedGraph,
  means: { readonly sources: Sources; readonly devices: StepDevices },
  request: BuildRequest,
  tools: Tools,
): Promise<Map<number, StageResult>> {
  const journal = new Journal(request, tools);
  tools.mountTravel?.expect(cacheMountsOf(graph));
  tools.finished?.begin(graph);
  const context = {
    request,
    tools,
    journal,
    ...means,
    stages: graph.stages,
    running: new Map(),
    ...(request.freshCacheMounts ? { emptiedMounts: new Map() } : {}),
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

/** Ids of the cache mounts that steps name. */
function cacheMountsOf({ stages }: JoinedGraph): string[] {
  return stages.flatMap(({ steps }) =>
    steps.flatMap(step =>
      step.kind === 'run' ? step.mounts.flatMap(mount => (mount.type === 'cache' ? mount.id : [])) : [],
    ),
  );
}

function stageOf(graph: JoinedGraph, index: number): PlannedStage {
  const stage = graph.stages.find(each => each.index === index);
  if (!stage) throw new BuildError('internal', `the plan has no stage ${index}`);
  return stage;
}
