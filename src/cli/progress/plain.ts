// Lines as BuildKit's plain progress prints them: `#3 [build 2/4] RUN npm ci`, `#3 0.412 added 3 packages`,
// `#3 DONE 1.2s`, `#3 CACHED`.
import { StringDecoder } from 'node:string_decoder';
import type { BuildEvent } from '../../events.ts';
import { formatSize } from '../format.ts';
import type { Progress, ProgressSink } from './sink.ts';

interface Unit {
  readonly number: number;
  readonly startedMs: number;
  readonly decoders: { readonly stdout: StringDecoder; readonly stderr: StringDecoder };
  /** The part of a line that has no newline yet. */
  rest: { stdout: string; stderr: string };
  lastItem: string;
}

export function plainProgress(sink: ProgressSink): Progress {
  const units = new Map<string, Unit>();
  const line = (unit: Unit, text: string) => sink.write(`#${unit.number} ${text}\n`);
  const seconds = (ms: number) => (ms / 1000).toFixed(1);

  const output = (unit: Unit, event: Extract<BuildEvent, { kind: 'output' }>) => {
    const text = unit.rest[event.stream] + unit.decoders[event.stream].write(Buffer.from(event.data));
    const lines = text.split('\n');
    unit.rest[event.stream] = lines.pop() ?? '';
    const at = ((event.atMs - unit.startedMs) / 1000).toFixed(3);
    for (const each of lines) line(unit, `${at} ${lastOverwrite(each)}`);
  };

  const flush = (unit: Unit, atMs: number) => {
    for (const stream of ['stdout', 'stderr'] as const) {
      const left = unit.rest[stream] + unit.decoders[stream].end();
      unit.rest[stream] = '';
      if (left) line(unit, `${((atMs - unit.startedMs) / 1000).toFixed(3)} ${lastOverwrite(left)}`);
    }
  };

  const end = (unit: Unit, event: Extract<BuildEvent, { kind: 'end' }>) => {
    flush(unit, event.atMs);
    switch (event.outcome) {
      case 'done':
        line(unit, `DONE ${seconds(event.atMs - unit.startedMs)}s`);
        break;
      case 'cached':
        line(unit, 'CACHED');
        break;
      case 'failed':
        line(unit, `ERROR: ${event.error ?? 'failed'}`);
        break;
      case 'cancelled':
        line(unit, 'CANCELED');
    }
    sink.write('\n');
  };

  return {
    emit(event) {
      if (event.kind === 'warning') return;
      if (event.kind === 'start') {
        const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
        const unit = {
          number: units.size + 1,
          startedMs: event.atMs,
          decoders,
          rest: { stdout: '', stderr: '' },
          lastItem: '',
        };
        units.set(event.id, unit);
        line(unit, event.name);
        return;
      }
      const unit = units.get(event.id);
      if (!unit) return;
      switch (event.kind) {
        case 'output':
          output(unit, event);
          break;
        case 'note':
          line(unit, event.text);
          break;
        case 'progress':
          // One line when a transfer begins and one when it is complete is enough in a log.
          if (event.item !== unit.lastItem || (event.total > 0 && event.current >= event.total)) {
            unit.lastItem = event.item;
            line(
              unit,
              `${event.item} ${formatSize(event.current)}${event.total ? ` / ${formatSize(event.total)}` : ''}`,
            );
          }
          break;
        case 'end':
          end(unit, event);
      }
    },
    close() {},
  };
}

/** What a terminal would show of a line with carriage returns: its last part. */
function lastOverwrite(text: string): string {
  const trimmed = text.endsWith('\r') ? text.slice(0, -1) : text;
  return trimmed.slice(trimmed.lastIndexOf('\r') + 1);
}
