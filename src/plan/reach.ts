// Which stages the target needs, in an order in which they can be built, and what ONBUILD triggers of the images add.
// https://docs.docker.com/reference/dockerfile/#onbuild

import type { StageInstruction } from '../dockerfile/instructions.ts';
import { parseTrigger } from '../dockerfile/parse.ts';
import { type BuildError, printable, type SourceRange } from '../errors.ts';
import type { ImageConfig } from '../image/config.ts';
import type { OutlineStage } from './outline-stage.ts';
import { invalid } from './problems.ts';
import { resolveUse, type SourceScope, type SourceUse, usesOf } from './sources.ts';
import type { BaseRequest, Origin } from './steps.ts';

/** Configs of images by the id of their request. */
export type BaseConfigs = ReadonlyMap<string, ImageConfig>;

export interface ReachInput extends SourceScope {
  readonly stages: readonly OutlineStage[];
  readonly target: number;
}

export interface Reach {
  /** Every stage after those it needs. */
  readonly order: readonly number[];
  readonly bases: readonly BaseRequest[];
}

/**
 * Images that the plan still lacks. Empty means that makeGraph can run; otherwise fetch them, add their configs and
 * ask again, for their ONBUILD triggers may name further ones.
 * @throws BuildError `dockerfile` for a broken trigger, or one that closes a circle
 */
export function missingBases(outline: ReachInput, configs: BaseConfigs): readonly BaseRequest[] {
  return findReach(outline, configs).bases.filter(base => !configs.has(base.id));
}

/** @throws BuildError `dockerfile` for a circle among the stages in reach, or a broken trigger */
export function findReach(outline: ReachInput, configs: BaseConfigs): Reach {
  const order: number[] = [];
  const bases = new Map<string, BaseRequest>();
  const need = (base: BaseRequest | undefined) => {
    if (base && !bases.has(base.id)) bases.set(base.id, base);
  };
  const known = new Set<StageInstruction[]>();
  const roots = outline.options.keepUnused ? outline.stages.map(stage => stage.index) : [outline.target];
  const visit = walker(
    outline,
    stage => {
      order.push(stage.index);
      need(stage.base);
      const triggers = triggersOf(stage, outline.stages, configs);
      const lines = known.has(triggers) ? [stage.instructions] : [triggers, stage.instructions];
      known.add(triggers);
      for (const { use } of lines.flatMap(usesInLines)) need(resolveUse(use, outline).base);
    },
    configs,
  );
  roots.forEach(visit);
  return { order, bases: [...bases.values()] };
}

/** @throws BuildError `dockerfile` when stages, needed or not, wait for each other; the message shows the chain */
export function refuseCycles(stages: readonly OutlineStage[], scope: SourceScope): void {
  const visit = walker({ ...scope, stages, target: 0 }, () => {}, new Map());
  for (const stage of stages) visit(stage.index);
}

/**
 * A stage, or the triggers that run in a stage. Stages share the triggers of what they start from, so that these are
 * looked through once however many stages there are.
 */
type Node = OutlineStage | StageInstruction[];

interface Frame {
  readonly node: Node;
  /** What is still to be visited, next one last. */
  readonly edges: Edge[];
}

interface Edge {
  readonly to: Node;
  readonly range: SourceRange;
}

/** Depth first without recursion (a file may have a long chain of stages); `leave` comes after what a stage needs. */
function walker(
  outline: ReachInput,
  leave: (stage: OutlineStage) => void,
  configs: BaseConfigs,
): (root: number) => void {
  const done = new Set<Node>();
  const onPath = new Set<Node>();
  return root => {
    const path: Frame[] = [];
    const enter = (node: Node | undefined) => {
      if (node === undefined || done.has(node)) return;
      onPath.add(node);
      path.push({ node, edges: edgesOf(node, outline, configs).reverse() });
    };
    enter(outline.stages[root]);
    for (let frame = path.at(-1); frame !== undefined; frame = path.at(-1)) {
      const edge = frame.edges.pop();
      if (edge === undefined) {
        path.pop();
        onPath.delete(frame.node);
        done.add(frame.node);
        if ('index' in frame.node) leave(frame.node);
      } else if (onPath.has(edge.to)) {
        throw cycle(path, edge);
      } else enter(edge.to);
    }
  };
}

function edgesOf(node: Node, outline: ReachInput, configs: BaseConfigs): Edge[] {
  const edges: Edge[] = [];
  const lead = (origin: Origin, range: SourceRange) => {
    const to = origin.kind === 'stage' ? outline.stages[origin.stage] : undefined;
    if (to !== undefined) edges.push({ to, range });
  };
  if ('index' in node) {
    lead(node.origin, node.from.range);
    const triggers = triggersOf(node, outline.stages, configs);
    if (triggers.length > 0) edges.push({ to: triggers, range: node.from.range });
  }
  for (const { use, line } of usesInLines('index' in node ? node.instructions : node)) {
    lead(resolveUse(use, outline).origin, line.range);
  }
  return edges;
}

function usesInLines(lines: readonly StageInstruction[]): { use: SourceUse; line: StageInstruction }[] {
  return lines.flatMap(line => usesOf(line).map(use => ({ use, line })));
}

function cycle(path: readonly Frame[], edge: Edge): BuildError {
  const nodes = path.map(frame => frame.node);
  const stages = nodes.slice(nodes.indexOf(edge.to)).filter(node => 'index' in node);
  const labels = stages.map(stage => printable(stage.label));
  return invalid(`stages wait for each other: ${[...labels, labels[0]].join(' needs ')}`, edge.range, {
    hint: 'copy from an earlier stage, or move what both need into a stage of its own',
  });
}

/** Of what stages start from: a stage, or the config of an image. */
const knownTriggers = new WeakMap<OutlineStage | ImageConfig, StageInstruction[]>();
const none: StageInstruction[] = [];

/** ONBUILD instructions of what the stage starts from; they run before its own. The same list for the same start. */
export function triggersOf(
  stage: OutlineStage,
  stages: readonly OutlineStage[],
  configs: BaseConfigs,
): StageInstruction[] {
  const { origin } = stage;
  if (stage.replaced || (origin.kind !== 'stage' && origin.kind !== 'image')) return none;
  const start = origin.kind === 'stage' ? stages[origin.stage] : configs.get(origin.base);
  if (start === undefined) return none;
  const found =
    knownTriggers.get(start) ??
    ('index' in start
      ? start.instructions.flatMap(line => (line.kind === 'onbuild' ? [line.instruction] : []))
      : (start.config.OnBuild ?? []).map(text => parseStored(text, stage)));
  knownTriggers.set(start, found);
  return found;
}

/** Findings of the parser become one error at FROM, since the trigger is in no file of the user's. */
function parseStored(text: string, stage: OutlineStage): StageInstruction {
  const { instruction, diagnostics } = parseTrigger(text, { name: `ONBUILD of ${stage.baseName}`, text });
  if (instruction !== undefined) return instruction;
  const [first] = diagnostics.filter(found => found.severity === 'error');
  const message = `an ONBUILD trigger of ${printable(stage.baseName)} is broken: ${first?.message ?? 'it is empty'}`;
  throw invalid(message, stage.from.range, {
    facts: { trigger: text },
    ...(first?.hint ? { hint: first.hint } : {}),
  });
}
