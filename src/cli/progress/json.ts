// One JSON object per line for programs: {"kind":"start","id":...}. Output bytes are base64. Schema: docs/progress.md.
import { type BuildError, type Diagnostic, messageOf, type SourceRange } from '../../errors.ts';
import type { Session } from '../session.ts';
import type { Progress, ProgressSink } from './sink.ts';

export function jsonProgress(sink: ProgressSink): Progress {
  return {
    emit(event) {
      const shape =
        event.kind === 'output'
          ? { ...event, data: Buffer.from(event.data).toString('base64') }
          : event.kind === 'warning'
            ? { ...event, diagnostic: diagnosticShape(event.diagnostic) }
            : event;
      sink.write(jsonLine(shape));
    },
    close() {},
  };
}

/** A session that says everything as JSON, remarks and the failure at the end as well. */
export function jsonSession(session: Session): Session {
  session.describeFailure = error => jsonLine({ kind: 'error', ...failureShape(error), atMs: Date.now() });
  return {
    ...session,
    err: text => session.err(jsonLine({ kind: 'remark', text: text.trimEnd(), atMs: Date.now() })),
  };
}

export function jsonLine(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

function failureShape(error: unknown): object {
  const { code, hint, range, facts, output, diagnostics } = error as Partial<BuildError>;
  return {
    code: code ?? 'internal',
    message: messageOf(error),
    hint,
    range: rangeShape(range),
    facts,
    output,
    diagnostics: diagnostics?.map(diagnosticShape),
  };
}

function diagnosticShape(diagnostic: Diagnostic): object {
  return { ...diagnostic, range: rangeShape(diagnostic.range) };
}

function rangeShape(range: SourceRange | undefined): object | undefined {
  return range && { file: range.file.name, start: range.start, end: range.end };
}
