// proot says on stderr that there is no such command, in several writes, and then ends as a step could end. What it says
// before the step has begun is told from what the step writes by its first words.
import { commandError } from './commands.ts';
import type { SandboxRequest } from './sandbox.ts';

type OnOutput = SandboxRequest['onOutput'];

const beginnings = ['proot ', 'fatal error: see'] as const;

/** Stands between proot's output and whoever receives it. */
export class Complaints {
  readonly #onOutput: OnOutput;
  /** What proot may have written: an unfinished line, and all lines from its complaint on. */
  #held = '';
  #started = false;
  #errno: string | undefined;

  constructor(onOutput: OnOutput) {
    this.#onOutput = onOutput;
  }

  pass(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    if (this.#started || stream === 'stdout') {
      this.#begin();
      this.#onOutput(stream, chunk);
      return;
    }
    this.#held += chunk.toString('latin1');
    if (!this.#isProots()) this.#begin();
    else if (this.#errno === undefined) this.#passLines();
  }

  /** Called when all output is there. @throws BuildError `run` when proot did not find or could not start the command */
  end(command: string): void {
    if (!this.#started && this.#errno !== undefined) throw commandError(command, this.#errno);
    this.#begin();
  }

  /** Whether every line that is held may be proot's, as far as it is there. */
  #isProots(): boolean {
    return this.#held
      .split('\n')
      .every(line => beginnings.some(word => line.startsWith(word) || word.startsWith(line)));
  }

  /** Passes whole lines (warnings of proot) on, up to a complaint. */
  #passLines(): void {
    for (;;) {
      const end = this.#held.indexOf('\n') + 1;
      if (end === 0) return;
      const line = this.#held.slice(0, end);
      if (/^proot error: .*not found/.test(line)) this.#errno = 'ENOENT';
      if (/^proot error: .*(not executable|Permission denied)/.test(line)) this.#errno = 'EACCES';
      if (this.#errno !== undefined) return;
      this.#held = this.#held.slice(end);
      this.#onOutput('stderr', Buffer.from(line, 'latin1'));
    }
  }

  #begin(): void {
    this.#started = true;
    if (this.#held !== '') this.#onOutput('stderr', Buffer.from(this.#held, 'latin1'));
    this.#held = '';
  }
}
