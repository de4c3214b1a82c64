// One JSON object per line for programs: {"kind":"start","id":...}. Output bytes are base64. Schema: docs/progress.md.
import type { Progress, ProgressSink } from './sink.ts';

export function jsonProgress(sink: ProgressSink): Progress {
  return {
    emit(event) {
      const shape =
        event.kind === 'output'
          ? { ...event, data: Buffer.from(event.data).toString('base64') }
          : event.kind === 'warning'
            ? { ...event, diagnostic: { ...event.diagnostic, range: rangeOf(event.diagnostic.range) } }
            : event;
      sink.write(`${JSON.stringify(shape)}\n`);
    },
    close() {},
  };
}

function rangeOf(range: { file: { name: string }; start: unknown; end: unknown } | undefined): unknown {
  return range && { file: range.file.name, start: range.start, end: range.end };
}
