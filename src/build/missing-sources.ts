// COPY and ADD of files that the context does not have: all of them are said before anything is executed, where BuildKit
// names one, after the steps above it have begun.
import { BuildError, type Diagnostic } from '../errors.ts';
import type { PlannedStage } from '../plan/steps.ts';
import { withoutRepetition } from './platforms.ts';
import type { Sources } from './sources.ts';
import { missingSources } from './steps/copy-selection.ts';

/** @throws BuildError `context`; with more than one missing, each is a diagnostic */
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
  const diagnostics = withoutRepetition(missing.map(asDiagnostic));
  if (diagnostics.length === 1) throw first;
  throw new BuildError('context', first.message, {
    diagnostics,
    facts: { ...first.facts, missing: diagnostics.length },
    ...(first.range ? { range: first.range } : {}),
  });
}

function asDiagnostic({ message, hint, range }: BuildError): Diagnostic {
  const place = range ? { range } : {};
  return { severity: 'error', rule: 'missing-source', message, ...(hint ? { hint } : {}), ...place };
}
