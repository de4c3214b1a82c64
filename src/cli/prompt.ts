// Questions on the terminal, one line each; what is secret is not echoed.

/** What this asks on: process.stdin and stderr. */
export interface Terminal {
  readonly input: NodeJS.ReadStream;
  write(text: string): void;
  readonly signal: AbortSignal;
}

const enter = /[\r\n]/;

/** @throws what `signal` was aborted with, on ctrl-C too; an Error when the terminal goes away */
export async function ask(question: string, secret: boolean, terminal: Terminal): Promise<string> {
  const { input } = terminal;
  // Raw: the terminal neither echoes nor edits, so both are done here. Before the question is seen: whoever answers at
  // once must not see the answer either.
  input.setRawMode(true);
  terminal.write(question);
  input.setEncoding('utf8');
  input.resume();
  let line = '';
  try {
    for (;;) {
      for (const key of await keys(terminal)) {
        if (enter.test(key) || key === '\u0004') return line;
        if (key === '\u0003') process.kill(process.pid, 'SIGINT');
        else if (key === '\u007f' || key === '\b') {
          if (line !== '' && !secret) terminal.write('\b \b');
          line = [...line].slice(0, -1).join('');
        } else if (key >= ' ') {
          line += key;
          if (!secret) terminal.write(key);
        }
      }
      terminal.signal.throwIfAborted();
    }
  } finally {
    input.setRawMode(false);
    input.pause();
    terminal.write('\n');
  }
}

/** What was typed since; the rest of a pasted text stays for the next question. */
function keys({ input, signal }: Terminal): Promise<Iterable<string>> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      input.off('readable', read);
      input.off('end', gone);
      signal.removeEventListener('abort', aborted);
      settle();
    };
    const read = () => {
      const text = input.read() as string | null;
      if (text === null) return;
      const stop = text.search(enter);
      const now = stop < 0 ? text : text.slice(0, stop + 1);
      if (now.length < text.length) input.unshift(text.slice(now.length), 'utf8');
      end(() => resolve(now));
    };
    const gone = () => end(() => reject(new Error('the terminal was closed')));
    const aborted = () => end(() => reject(signal.reason));
    if (signal.aborted) return aborted();
    input.on('readable', read);
    input.once('end', gone);
    signal.addEventListener('abort', aborted, { once: true });
    read();
  });
}
