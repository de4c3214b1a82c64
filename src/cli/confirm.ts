// A question before something is lost, as docker asks it: anything but yes means no, also the end of the input.
import { createInterface } from 'node:readline';
import type { Session } from './session.ts';

export async function confirm(warning: string, session: Session): Promise<boolean> {
  session.out(`${warning}\nAre you sure you want to continue? [y/N] `);
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  const stop = () => lines.close();
  session.signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const line of lines) return /^y(?:es)?$/i.test(line.trim());
    session.signal.throwIfAborted();
    return false;
  } finally {
    session.signal.removeEventListener('abort', stop);
    lines.close();
    process.stdin.unref?.();
  }
}
