// Which stages the target needs, in an order in which they can be built, and what ONBUILD triggers of the images add.
// https://docs.docker.com/reference/dockerfile/#onbuild

import type { StageInstruction } from '../dockerfile/instructions.ts';
import { parseTrigger } from '../dockerfile/parse.ts';
import { type BuildError, printable, type SourceRange } from '../errors.ts';
import type { ImageConfig } from '../image/config.ts';
import type { OutlineStage } from './outline-stage.ts';
import { invalid } from './problems.ts';
import { resolveUse, type SourceScope, type SourceUse, usesOf } from './sources.ts';
import type { BaseRequest } from './steps.ts';

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
  const roots = outline.options.keepUnused ? outline.stages.map(stage => stage.index) : [outline.target];
  const visit = walker(
    outline,
    stage => {
      order.push(stage.index);
      if (stage.base && !bases.has(stage.base.id)) bases.set(stage.base.id, stage.base);
      for (const { use } of usesIn(stage, outline.stages, configs)) {
        const { base } = resolveUse(use, outline);
        if (base && !bases.has(base.id)) bases.set(base.id, base);
      }
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

interface Frame {
  readonly stage: OutlineStage;
  /** What is still to be visited, next one last. */
  readonly edges: Edge[];
}

interface Edge {
  readonly to: number;
  readonly range: SourceRange;
}

/** Depth first without recursion (a file may have a long chain of stages); `leave` comes after what a stage needs. */
function walker(
  outline: ReachInput,
  leave: (stage: OutlineStage) => void,
  configs: BaseConfigs,
): (root: number) => void {
  const done = new Set<number>();
  const onPath = new Set<number>();
  return root => {
    const path: Frame[] = [];
    const enter = (index: number) => {
      const stage = outline.stages[index];
      if (stage === undefined || done.has(index)) return;
      onPath.add(index);
      path.push({ stage, edges: edgesOf(stage, outline, configs).reverse() });
    };
    enter(root);
    for (let frame = path.at(-1); frame !== undefined; frame = path.at(-1)) {
      const edge = frame.edges.pop();
      if (edge === undefined) {
        path.pop();
        onPath.delete(frame.stage.index);
        done.add(frame.stage.index);
        leave(frame.stage);
      } else if (onPath.has(edge.to)) {
        throw cycle(path, edge);
      } else enter(edge.to);
    }
  };
}

function edgesOf(stage: OutlineStage, outline: ReachInput, configs: BaseConfigs): Edge[] {
  const edges: Edge[] = [];
  if (stage.origin.kind === 'stage') edges.push({ to: stage.origin.stage, range: stage.from.range });
  for (const { use, line } of usesIn(stage, outline.stages, configs)) {
    const { origin } = resolveUse(use, outline);
    if (origin.kind === 'stage') edges.push({ to: origin.stage, range: line.range });
  }
  return edges;
}

interface UseInLine {
  readonly use: SourceUse;
  readonly line: StageInstruction;
}

/** Of a stage's own ONBUILD: looked through once, however many stages start from it. */
const onbuildUses = new WeakMap<OutlineStage, readonly UseInLine[]>();

/** What the triggers and the instructions of a stage copy or mount from. */
function usesIn(
  stage: OutlineStage,
  stages: readonly OutlineStage[],
  configs: BaseConfigs,
): readonly UseInLine[] {
  const own = usesInLines(stage.instructions);
  if (stage.origin.kind !== 'stage') return [...usesInLines(triggersOf(stage, stages, configs)), ...own];
  const below = stages[stage.origin.stage];
  if (below === undefined || stage.replaced) return own;
  const known = onbuildUses.get(below) ?? usesInLines(triggersOf(stage, stages, configs));
  onbuildUses.set(below, known);
  return [...known, ...own];
}

function usesInLines(lines: readonly StageInstruction[]): UseInLine[] {
  return lines.flatMap(line => usesOf(line).map(use => ({ use, line })));
}

function cycle(path: readonly Frame[], edge: Edge): BuildError {
  const start = path.findIndex(frame => frame.stage.index === edge.to);
  const labels = path.slice(start).map(frame => printable(frame.stage.label));
  return invalid(`stages wait for each other: ${[...labels, labels[0]].join(' needs ')}`, edge.range, {
    hint: 'copy from an earlier stage, or move what both need into a stage of its own',
  });
}

/** ONBUILD instructions of what the stage starts from; they run before its own. */
export function triggersOf(
  stage: OutlineStage,
  stages: readonly OutlineStage[],
  configs: BaseConfigs,
): StageInstruction[] {
  if (stage.replaced) return [];
  if (stage.origin.kind === 'stage') {
    const below = stages[stage.origin.stage]?.instructions ?? [];
    return below.flatMap(line => (line.kind === 'onbuild' ? [line.instruction] : []));
  }
  if (stage.origin.kind !== 'image') return [];
  const texts = configs.get(stage.origin.base)?.config.OnBuild ?? [];
  return texts.map(text => parseStored(text, stage));
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
