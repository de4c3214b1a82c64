// What the flags of a build, and RUN itself, ask of the sandbox: refused before anything is executed when it cannot be had.
import { BuildError, printable } from '../errors.ts';
import type { PlannedStage } from '../plan/steps.ts';
import type { BuildRequest } from './request.ts';
import type { Tools } from './tools.ts';

/** @throws BuildError `unsupported` for RUN --device; `sandbox` or `usage` as {@link Sandbox.check} says */
export async function refuseImpossible(
  stages: readonly PlannedStage[],
  { run }: BuildRequest,
  tools: Tools,
): Promise<void> {
  const runs = stages.flatMap(({ steps }) => steps.flatMap(step => (step.kind === 'run' ? [step] : [])));
  for (const { devices, range } of runs) {
    const [device] = devices;
    if (device === undefined) continue;
    throw new BuildError('unsupported', `RUN --device=${printable(device)} is not supported`, {
      hint: 'devices by CDI names are not known here; the device files of this machine are given with slipway build --device /dev/NAME',
      range,
    });
  }
  if (run === undefined || runs.length === 0) return;
  // Any sandbox can give another resolver; all else is for the one that was chosen to say.
  const { dns: _, ...asked } = run;
  const isEmpty = Object.values(asked).every(value => Array.isArray(value) && value.length === 0);
  if (!isEmpty) (await tools.sandbox()).check(run);
}
