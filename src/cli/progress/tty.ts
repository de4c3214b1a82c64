// On a terminal: one spinner (ora) with the running steps, finished steps as lines above it, and the last lines that
// the running command wrote.
import ora from 'ora';
import { printable } from '../../errors.ts';
import type { BuildEvent } from '../../events.ts';
import { formatSize } from '../format.ts';
import type { Progress, ProgressSink } from './sink.ts';

const tailLines = 6;

interface Unit {
  readonly name: string;
  readonly startedMs: number;
  tail: string[];
  rest: string;
  transfer: string;
  readonly notes: string[];
}

export function ttyProgress(sink: ProgressSink): Progress {
  const running = new Map<string, Unit>();
  const spinner = ora({ text: 'starting', stream: process.stderr, discardStdin: false });

  const draw = () => {
    const lines: string[] = [];
    for (const unit of running.values()) {
      const time = `${((Date.now() - unit.startedMs) / 1000).toFixed(1)}s`;
      lines.push(clip(`${unit.name} ${unit.transfer} ${time}`.replace(/ +/g, ' '), sink.columns - 4));
      for (const text of unit.notes) lines.push(clip(`  ${text}`, sink.columns - 4));
      for (const text of unit.tail) lines.push(clip(`  | ${text}`, sink.columns - 4));
    }
    spinner.text = lines.join('\n') || 'working';
  };
  const timer = setInterval(draw, 100);
  timer.unref();
  spinner.start();

  const finish = (unit: Unit, event: Extract<BuildEvent, { kind: 'end' }>) => {
    const time = `${((event.atMs - unit.startedMs) / 1000).toFixed(1)}s`;
    const name = clip(unit.name, sink.columns - 12);
    const sign = { done: '✔', cached: '✔', failed: '✖', cancelled: '-' }[event.outcome];
    const suffix = { done: time, cached: 'CACHED', failed: `ERROR ${time}`, cancelled: 'CANCELED' }[
      event.outcome
    ];
    spinner.clear();
    sink.write(`${sign} ${name} ${suffix}\n${unit.notes.map(note => `    ${note}\n`).join('')}`);
  };

  return {
    emit(event) {
      if (event.kind === 'warning') return;
      if (event.kind === 'start') {
        running.set(event.id, {
          name: printable(event.name),
          startedMs: event.atMs,
          tail: [],
          rest: '',
          transfer: '',
          notes: [],
        });
        return;
      }
      const unit = running.get(event.id);
      if (!unit) return;
      if (event.kind === 'output') appendTail(unit, event.data);
      else if (event.kind === 'note') unit.notes.push(printable(event.text));
      else if (event.kind === 'progress') {
        unit.transfer = `${formatSize(event.current)}${event.total ? ` / ${formatSize(event.total)}` : ''}`;
      } else {
        running.delete(event.id);
        finish(unit, event);
      }
    },
    close() {
      clearInterval(timer);
      spinner.stop();
    },
  };
}

function appendTail(unit: Unit, data: Uint8Array): void {
  const lines = (unit.rest + Buffer.from(data).toString('utf8')).split('\n');
  unit.rest = lines.pop() ?? '';
  const shown = lines.map(line =>
    printable(line.slice(line.replace(/\r$/, '').lastIndexOf('\r') + 1).trimEnd()),
  );
  unit.tail = [...unit.tail, ...shown].slice(-tailLines);
}

function clip(text: string, width: number): string {
  return width > 10 && text.length > width ? `${text.slice(0, width - 1)}…` : text;
}
