// The keys that later steps of a stage would have if an earlier one had come to something else: to choose, among several
// results in a remote cache, the one that the rest of the stage goes on from.
import type { CacheKey, StateId } from '../../cache/key.ts';
import { clipDisplay } from '../../cache/remote-format.ts';
import type { Ahead } from '../../cache/remote-merge.ts';
import { silent } from '../../events.ts';
import type { Step } from '../../plan/steps.ts';
import type { PreparedStep, StepScope } from './step.ts';

type Executable = Exclude<Step, { kind: 'setting' }>;

/** @param prepare computes the keys of a step */
export function stepsAhead(
  step: Step,
  scope: StepScope,
  prepare: (step: Executable, scope: StepScope) => Promise<PreparedStep>,
): readonly Ahead[] {
  const { steps } = scope.stage;
  const later = steps.slice(steps.indexOf(step) + 1).filter(each => each.kind !== 'setting');
  // What is wrong with a step is said when it is its turn.
  const quiet = { ...scope, tools: { ...scope.tools, emit: silent } };
  const keyOf = async (each: Executable, state: StateId): Promise<CacheKey | undefined> => {
    try {
      const { recipe, content } = await prepare(each, { ...quiet, state });
      return ((await content?.()) ?? recipe).key;
    } catch {
      return undefined;
    }
  };
  return later.map(each => ({
    display: clipDisplay(each.display),
    ...(isKnown(each) ? { keyOn: (state: StateId) => keyOf(each, state) } : {}),
  }));
}

/** Whether its key waits for no other stage and for no download. */
function isKnown(step: Executable): boolean {
  switch (step.kind) {
    case 'workdir':
      return true;
    case 'run':
      return step.mounts.every(mount => !('from' in mount) || mount.from.kind !== 'stage');
    case 'copy':
      return (
        step.from.kind === 'context' && step.items.every(({ kind }) => kind === 'path' || kind === 'inline')
      );
  }
}
