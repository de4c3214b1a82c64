// --no-cache-filter: stages whose steps are executed again. A stage is called by its name, one without by `stage-INDEX`.
import type { Dockerfile } from '../dockerfile/instructions.ts';
import { didYouMean } from '../dockerfile/suggest.ts';
import { type Diagnostic, printable } from '../errors.ts';
import type { PlannedStage } from '../plan/steps.ts';
import type { BuildRequest } from './request.ts';

export function skipsCache(stage: PlannedStage, { noCache, noCacheFilter }: BuildRequest): boolean {
  return noCache || noCacheFilter.includes(stage.name ?? stage.label);
}

/** A name that is misspelt would leave everything cached without a word. */
export function checkFilter({ stages }: Dockerfile, { noCacheFilter }: BuildRequest): Diagnostic[] {
  const known = stages.map(({ name, index }) => name ?? `stage-${index}`);
  return noCacheFilter
    .filter(name => !known.includes(name))
    .map(name => {
      const hint = didYouMean(name, known) ?? `stages are ${known.join(', ')}`;
      return {
        severity: 'warning',
        rule: 'no-effect',
        message: `--no-cache-filter names no stage: "${printable(name)}"`,
        hint,
      };
    });
}
