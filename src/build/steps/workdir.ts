// WORKDIR: the directory exists afterwards. Where it does already nothing changes and there is no layer.
import { workdirKey } from '../../cache/key.ts';
import type { LayerId } from '../../layer/layers.ts';
import type { WorkdirStep } from '../../plan/steps.ts';
import { resolveOwner } from '../../sandbox/users.ts';
import { bytePath } from '../../tree/entry.ts';
import { planDirectory } from './copy.ts';
import { imageFiles } from './image-user.ts';
import type { PreparedStep, StepScope } from './step.ts';

export async function prepareWorkdir(step: WorkdirStep, scope: StepScope): Promise<PreparedStep> {
  return {
    recipe: workdirKey(scope.state, step),
    execute: () => makeDirectory(step, scope),
  };
}

async function makeDirectory(step: WorkdirStep, scope: StepScope): Promise<LayerId | null> {
  if (step.path === '/') return null;
  const view = await scope.sources.view(scope.layers, `stage "${scope.stage.label}"`, scope.signal, 'names');
  // A number alone is the group's number too, as in --chown, whatever passwd says.
  const owner = step.user === '' ? undefined : resolveOwner(step.user, imageFiles(view));
  const entries = planDirectory(view, bytePath(step.path.slice(1)), owner, scope.tools.now());
  if (entries.length === 0) return null;
  return scope.tools.layers.write(entries, scope.signal);
}
