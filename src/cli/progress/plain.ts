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
  const lines = new PlainLines(sink);
  return { emit: event => lines.take(event), close: () => {} };
}

class PlainLines {
  readonly #sink: ProgressSink;
  readonly #units = new Map<string, Unit>();

  constructor(sink: ProgressSink) {
    this.#sink = sink;
  }

  take(event: BuildEvent): void {
    if (event.kind === 'warning') return;
    if (event.kind === 'start') {
      this.#start(event);
      return;
    }
    const unit = this.#units.get(event.id);
    if (!unit) return;
    switch (event.kind) {
      case 'output':
        this.#output(unit, event);
        break;
      case 'note':
        this.#line(unit, event.text);
        break;
      case 'progress':
        this.#progress(unit, event);
        break;
      case 'end':
        this.#end(unit, event);
    }
  }

  #line(unit: Unit, text: string): void {
    this.#sink.write(`#${unit.number} ${text}\n`);
  }

  #start(event: Extract<BuildEvent, { kind: 'start' }>): void {
    const unit = {
      number: this.#units.size + 1,
      startedMs: event.atMs,
      decoders: { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') },
      rest: { stdout: '', stderr: '' },
      lastItem: '',
    };
    this.#units.set(event.id, unit);
    this.#line(unit, event.name);
  }

  #output(unit: Unit, event: Extract<BuildEvent, { kind: 'output' }>): void {
    const text = unit.rest[event.stream] + unit.decoders[event.stream].write(Buffer.from(event.data));
    const lines = text.split('\n');
    unit.rest[event.stream] = lines.pop() ?? '';
    for (const each of lines) this.#outputLine(unit, each, event.atMs);
  }

  #outputLine(unit: Unit, text: string, atMs: number): void {
    this.#line(unit, `${((atMs - unit.startedMs) / 1000).toFixed(3)} ${lastOverwrite(text)}`);
  }

  /** One line when a transfer begins and one when it is complete is enough in a log. */
  #progress(unit: Unit, event: Extract<BuildEvent, { kind: 'progress' }>): void {
    const complete = event.total > 0 && event.current >= event.total;
    if (event.item === unit.lastItem && !complete) return;
    unit.lastItem = event.item;
    const total = event.total > 0 ? ` / ${formatSize(event.total)}` : '';
    this.#line(unit, `${event.item} ${formatSize(event.current)}${total}`);
  }

  #end(unit: Unit, event: Extract<BuildEvent, { kind: 'end' }>): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const left = unit.rest[stream] + unit.decoders[stream].end();
      unit.rest[stream] = '';
      if (left) this.#outputLine(unit, left, event.atMs);
    }
    const took = `${((event.atMs - unit.startedMs) / 1000).toFixed(1)}s`;
    const says = {
      done: `DONE ${took}`,
      cached: 'CACHED',
      failed: `ERROR: ${event.error ?? 'failed'}`,
      cancelled: 'CANCELED',
    };
    this.#line(unit, says[event.outcome]);
    this.#sink.write('\n');
  }
}

/** What a terminal would show of a line with carriage returns: its last part. */
function lastOverwrite(text: string): string {
  const trimmed = text.endsWith('\r') ? text.slice(0, -1) : text;
  return trimmed.slice(trimmed.lastIndexOf('\r') + 1);
}
