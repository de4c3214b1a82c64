// The lines of --progress=rawjson (docs/progress.md), taken apart as they come.
import type { BuildError, Diagnostic, Position } from '../errors.ts';
import type { BuildEvent } from '../events.ts';

interface JsonRange {
  readonly file: string;
  readonly start: Position;
  readonly end: Position;
}

type JsonDiagnostic = Omit<Diagnostic, 'range'> & { readonly range?: JsonRange };

export type Message =
  | {
      readonly kind: 'error';
      readonly code: BuildError['code'];
      readonly message: string;
      readonly hint?: string;
      readonly range?: JsonRange;
      readonly facts?: BuildError['facts'];
      readonly output?: readonly string[];
      readonly diagnostics?: readonly JsonDiagnostic[];
    }
  | { readonly kind: 'remark'; readonly text: string }
  | ({ readonly kind: 'result' } & Readonly<Record<string, unknown>>);

export interface Listener {
  onEvent?(event: BuildEvent): void;
  onRemark?(text: string): void;
}

export class Messages {
  readonly #listener: Listener;
  #rest = Buffer.alloc(0);
  error: Extract<Message, { kind: 'error' }> | undefined;
  result: Extract<Message, { kind: 'result' }> | undefined;
  /** What was no JSON: usage errors. */
  text = '';

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  add(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#rest, chunk]);
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
      this.#line(bytes.subarray(0, end).toString('utf8'));
      bytes = bytes.subarray(end + 1);
    }
    this.#rest = bytes;
  }

  end(): void {
    if (this.#rest.length > 0) this.#line(this.#rest.toString('utf8'));
    this.#rest = Buffer.alloc(0);
  }

  #line(line: string): void {
    if (!line.startsWith('{')) {
      this.text += `${line}\n`;
      return;
    }
    const message = JSON.parse(line) as Message | BuildEvent;
    if (message.kind === 'error') this.error = message;
    else if (message.kind === 'result') this.result = message;
    else if (message.kind === 'remark') this.#listener.onRemark?.(message.text);
    else this.#listener.onEvent?.(eventOf(message));
  }
}

/** Output comes as base64, places of findings without the file's text. */
function eventOf(event: BuildEvent): BuildEvent {
  if (event.kind === 'output') {
    return { ...event, data: Buffer.from(event.data as unknown as string, 'base64') };
  }
  if (event.kind !== 'warning') return event;
  const { range, ...diagnostic } = event.diagnostic as unknown as JsonDiagnostic;
  const placed = range ? { range: { ...range, file: { name: range.file, text: '' } } } : {};
  return { ...event, diagnostic: { ...diagnostic, ...placed } };
}
