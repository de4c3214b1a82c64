// A stream that knows whether anything was written to it: what was cannot be taken back.
import { Writable } from 'node:stream';

export interface WatchedStream {
  readonly stream: Writable;
  /** Bytes were given to it. */
  isUsed(): boolean;
}

/** @param target is not ended */
export function watched(target: Writable): WatchedStream {
  let used = false;
  const stream = new Writable({
    write(chunk, _encoding, done) {
      used = true;
      target.write(chunk, done);
    },
  });
  target.on('error', error => stream.destroy(error));
  // Whoever writes is told.
  stream.on('error', () => {});
  return { stream, isUsed: () => used };
}
