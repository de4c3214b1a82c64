// COPY and ADD of files that the context does not have: all of them are said before anything is executed, where BuildKit
// names one, after the steps above it have begun.
import { BuildError, type Diagnostic } from '../errors.ts';
import type { PlannedStage } from '../plan/steps.ts';
import { withoutRepetition } from './platforms.ts';
import type { Sources } from './sources.ts';
import { missingSources } from './steps/copy-selection.ts';

/** @throws BuildError `context` for the first one, with the others as its diagnostics */
export function refuseMissingSources(stages: readonly PlannedStage[], sources: Sources): void {
  const missing = stages.flatMap(({ steps }) =>
    steps.flatMap(step =>
      step.kind === 'copy' && step.from.kind === 'context'
        ? missingSources(step, sources.context(step.from.name))
        : [],
    ),
  );
  const [first] = missing;
  if (first === undefined) return;
  const [, ...others] = withoutRepetition(missing.map(asDiagnostic));
  throw new BuildError(first.code, first.message, {
    facts: first.facts,
    diagnostics: others,
    cause: first,
    ...(first.hint ? { hint: first.hint } : {}),
    ...(first.range ? { range: first.range } : {}),
  });
}

function asDiagnostic({ message, hint, range }: BuildError): Diagnostic {
  const place = range ? { range } : {};
  return { severity: 'error', rule: 'missing-source', message, ...(hint ? { hint } : {}), ...place };
}
