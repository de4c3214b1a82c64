// Work that several ask for is done once. It is given up only when everybody who asked has given up.

interface Running<T> {
  readonly result: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

export class Shared<K, T> {
  readonly #running = new Map<K, Running<T>>();

  /** Joins the work under `key`, or begins it. @throws what the work throws, or the reason of `signal` */
  async run(key: K, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    let running = this.#running.get(key);
    if (!running) {
      running = this.#begin(key, work);
      this.#running.set(key, running);
    }
    const joined = running;
    joined.waiting += 1;
    try {
      return await untilAborted(joined.result, signal);
    } finally {
      joined.waiting -= 1;
      if (joined.waiting === 0) {
        if (this.#running.get(key) === joined) this.#running.delete(key);
        joined.stop.abort(signal.reason);
      }
    }
  }

  #begin(key: K, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const stop = new AbortController();
    const running: Running<T> = { result: work(stop.signal), stop, waiting: 0 };
    const forget = () => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    };
    running.result.then(forget, forget);
    return running;
  }
}

function untilAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
