// Runs a graph of units: each as soon as those it waits for are done, at most `limit` of them working at once. The
// first failure stops the rest; it is the one reported.
import { BuildError } from '../errors.ts';

export interface Schedule<K, R> {
  /** The result of another unit, started if nobody did yet. Waiting holds no slot. */
  wait(key: K): Promise<R>;
  /** Does a piece of work when a slot is free. @throws BuildError `interrupted` when the build was stopped meanwhile */
  work<T>(task: () => Promise<T>): Promise<T>;
  /** Aborted by the first failure or by the caller. */
  readonly signal: AbortSignal;
}

/**
 * @param keys units to run; others are run when waited for
 * @param run one unit; called once per key. Cycles are the caller's to exclude (plan/outline.ts does).
 * @param limit pieces of work at the same time, at least 1
 * @returns results by key
 * @throws what the first failing unit threw
 */
export async function runGraph<K, R>(
  keys: readonly K[],
  run: (key: K, schedule: Schedule<K, R>) => Promise<R>,
  limit: number,
  outer: AbortSignal,
): Promise<Map<K, R>> {
  const stop = new AbortController();
  const onOuter = () => stop.abort(outer.reason);
  if (outer.aborted) onOuter();
  outer.addEventListener('abort', onOuter, { once: true });

  const started = new Map<K, Promise<R>>();
  const results = new Map<K, R>();
  let failure: { error: unknown } | undefined;
  const slots = new Slots(Math.max(1, limit));

  const schedule: Schedule<K, R> = {
    signal: stop.signal,
    wait: key => start(key),
    async work(task) {
      await using _slot = await slots.take();
      if (stop.signal.aborted) throw new BuildError('interrupted', 'stopped before it began');
      return await task();
    },
  };

  function start(key: K): Promise<R> {
    const known = started.get(key);
    if (known) return known;
    const promise = run(key, schedule).then(
      result => {
        results.set(key, result);
        return result;
      },
      error => {
        failure ??= { error };
        stop.abort(error);
        throw error;
      },
    );
    started.set(key, promise);
    return promise;
  }

  // Every unit is seen to its end, also after a failure: nothing may go on behind the caller's back.
  await Promise.allSettled(keys.map(start));
  await Promise.allSettled(started.values());
  outer.removeEventListener('abort', onOuter);
  if (failure) throw failure.error;
  if (outer.aborted)
    throw new BuildError('interrupted', 'the build was interrupted', { cause: outer.reason });
  return results;
}

class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take(): Promise<AsyncDisposable> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>(resolve => this.#waiting.push(resolve));
    return {
      [Symbol.asyncDispose]: async () => {
        const next = this.#waiting.shift();
        if (next) next();
        else this.#free++;
      },
    };
  }
}
