// Several platforms in one build: one plan for each, joined into one graph in which equal stages stand once. What runs on
// $BUILDPLATFORM and does not look at the target is such a stage, so it is carried out once however many targets there are.
import { BuildError, type Diagnostic } from '../errors.ts';
import { formatPlatform, hostPlatform, type Platform } from '../image/platform.ts';
import type { Graph, MountSpec, Origin, PlannedStage, Step } from '../plan/steps.ts';

export interface PlatformGraph {
  readonly platform: Platform;
  readonly graph: Graph;
}

export interface JoinedGraph {
  readonly stages: readonly PlannedStage[];
  /** Index of the stage that becomes the image, for each platform in the order given. */
  readonly targets: readonly number[];
  readonly warnings: readonly Diagnostic[];
}

/** One graph stays as it is; of several the stages are numbered anew and their labels say the platform. */
export function joinGraphs(graphs: readonly PlatformGraph[]): JoinedGraph {
  const [only] = graphs;
  if (only && graphs.length === 1) {
    const { stages, target, warnings } = only.graph;
    return { stages, targets: [target], warnings };
  }
  const joined = new Map<string, Joined>();
  const targets = graphs.map(({ platform, graph }) => {
    const numbers = new Map<number, number>();
    for (const stage of graph.stages) {
      const moved = renumber(stage, index => numberOf(numbers, index));
      const key = fingerprint(moved);
      const known = joined.get(key) ?? { stage: moved, index: joined.size, users: [] };
      joined.set(key, { ...known, users: [...known.users, platform] });
      numbers.set(stage.index, known.index);
    }
    return numberOf(numbers, graph.target);
  });
  const several = graphs.some(({ graph }) => graph.stages.length > 1);
  const stages = [...joined.values()].map(each => labelled(each, several));
  return { stages, targets, warnings: withoutRepetition(graphs.flatMap(({ graph }) => graph.warnings)) };
}

interface Joined {
  /** With references to other stages as they are in the joined graph. */
  readonly stage: PlannedStage;
  readonly index: number;
  /** Platforms that the stage is part of. */
  readonly users: readonly Platform[];
}

function numberOf(numbers: ReadonlyMap<number, number>, index: number): number {
  const number = numbers.get(index);
  if (number === undefined)
    throw new BuildError('internal', `the plan needs stage ${index} before it is there`);
  return number;
}

function renumber(stage: PlannedStage, number: (index: number) => number): PlannedStage {
  const origin = (from: Origin): Origin =>
    from.kind === 'stage' ? { kind: 'stage', stage: number(from.stage) } : from;
  const mount = (spec: MountSpec): MountSpec =>
    spec.type === 'bind' || spec.type === 'cache' ? { ...spec, from: origin(spec.from) } : spec;
  const step = (each: Step): Step => {
    if (each.kind === 'copy') return { ...each, from: origin(each.from) };
    return each.kind === 'run' ? { ...each, mounts: each.mounts.map(mount) } : each;
  };
  return { ...stage, origin: origin(stage.origin), steps: stage.steps.map(step) };
}

/** Equal for stages that do the same to the same; places in the Dockerfile do not count. */
function fingerprint({ index, platform, origin, config, steps }: PlannedStage): string {
  const bare = steps.map(({ config: _, id: __, ...rest }) => rest);
  return JSON.stringify({ index, platform, origin, config, steps: bare }, (key, value) =>
    key === 'range' ? undefined : value,
  );
}

/** `linux/arm64 build`; `linux/amd64->linux/arm64 build` where something is made on one platform for another. */
function labelled({ stage, index, users }: Joined, several: boolean): PlannedStage {
  const own = formatPlatform(stage.platform);
  const [user] = users;
  const target = user && users.length === 1 ? formatPlatform(user) : own;
  const prefix = target === own ? own : `${own}->${target}`;
  const label = several || stage.name !== undefined ? `${prefix} ${stage.label}` : prefix;
  const steps = stage.steps.map((step, i) => ({ ...step, id: `${index}.${i}`, stage: index }));
  return { ...stage, index, label, steps };
}

/** Findings that several platforms share are told once. */
export function withoutRepetition(findings: readonly Diagnostic[]): Diagnostic[] {
  const key = ({ rule, message, range }: Diagnostic) =>
    `${rule} ${range?.start.line}:${range?.start.column} ${message}`;
  return [...new Map(findings.map(finding => [key(finding), finding] as const)).values()];
}

/**
 * Refuses, before anything is executed, commands of platforms that this machine cannot run.
 * @throws BuildError `sandbox` with the place of the first such RUN
 */
export async function refuseForeignRuns(
  stages: readonly PlannedStage[],
  canRun: (platform: Platform) => Promise<boolean>,
): Promise<void> {
  const host = hostPlatform();
  const tried = new Map<string, boolean>();
  for (const { platform, steps } of stages) {
    const run = steps.find(step => step.kind === 'run');
    if (!run || (platform.os === host.os && platform.architecture === host.architecture)) continue;
    const name = formatPlatform(platform);
    const runs = tried.get(name) ?? (await canRun(platform));
    tried.set(name, runs);
    if (runs) continue;
    throw new BuildError(
      'sandbox',
      `RUN for ${name} cannot be carried out on this machine (${formatPlatform(host)})`,
      {
        hint: `install an emulator: apt-get install qemu-user-static, or docker run --privileged --rm tonistiigi/binfmt --install ${platform.architecture}; or build that stage with FROM --platform=$BUILDPLATFORM`,
        range: run.range,
        facts: { platform: name },
      },
    );
  }
}
