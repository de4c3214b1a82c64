// What the flags of a build, and RUN itself, ask of the sandbox: refused before anything is executed when it cannot be had.
import { BuildError } from '../errors.ts';
import type { PlannedStage, RunStep } from '../plan/steps.ts';
import type { StepSettings } from '../sandbox/sandbox.ts';
import type { StepDevices } from './devices.ts';
import type { BuildRequest } from './request.ts';
import type { Tools } from './tools.ts';

/** @throws BuildError `sandbox` or `usage` as {@link Sandbox.check} says */
export async function refuseImpossible(
  stages: readonly PlannedStage[],
  devices: StepDevices,
  { run = {} }: BuildRequest,
  tools: Tools,
): Promise<void> {
  const runs = stages.flatMap(({ steps }) => steps.flatMap(step => (step.kind === 'run' ? [step] : [])));
  const [first] = runs;
  if (first === undefined) return;
  // Also when every step is cached: what was asked for is not passed over without a word.
  if (tools.sandboxWasChosen) await tools.sandbox().catch(error => throwAt(first.range, error));
  if (!isEmpty(run)) (await tools.sandbox()).check(run);
  const checked = new Set<string>();
  for (const { id, range } of runs) {
    const cdi = devices.get(id);
    const names = cdi?.names.join(' ') ?? '';
    if (cdi === undefined || checked.has(names)) continue;
    checked.add(names);
    const sandbox = await tools.sandbox();
    atPlace(range, () => sandbox.check({ cdi }));
  }
}

function isEmpty(run: StepSettings): boolean {
  // Any sandbox can give another resolver; all else is for the one that was chosen to say.
  const { dns: _, ...asked } = run;
  return Object.values(asked).every(value => Array.isArray(value) && value.length === 0);
}

function atPlace(range: RunStep['range'], check: () => void): void {
  try {
    check();
  } catch (error) {
    throwAt(range, error);
  }
}

function throwAt(range: RunStep['range'], error: unknown): never {
  if (!(error instanceof BuildError)) throw error;
  const { code, message, hint, cause, output } = error;
  throw new BuildError(code, message, { range, cause, output, ...(hint === undefined ? {} : { hint }) });
}
