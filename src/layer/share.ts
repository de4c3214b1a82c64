// Equal requests at the same time are one piece of work. It goes on as long as somebody waits for it.

interface Running {
  readonly result: Promise<unknown>;
  readonly controller: AbortController;
  waiting: number;
}

export class SharedWork {
  readonly #running = new Map<string, Running>();

  /**
   * Joins the work that runs under `key`, or starts it. Nothing is remembered when it is done.
   * @param signal ends this caller's waiting; the work itself is aborted when nobody is left
   * @throws what the work throws; the signal's reason on abort
   */
  async run<T>(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const running = this.#join(key, work);
    running.waiting++;
    let leave = (): void => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
    });
    try {
      return (await Promise.race([running.result, left])) as T;
    } catch (error) {
      if (signal.aborted && running.waiting === 1) {
        // The last one sees the end of the work, so that nothing of it is still going on afterwards.
        running.controller.abort(signal.reason);
        await running.result.catch(() => {});
      }
      throw error;
    } finally {
      running.waiting--;
      signal.removeEventListener('abort', leave);
    }
  }

  #join(key: string, work: (signal: AbortSignal) => Promise<unknown>): Running {
    const existing = this.#running.get(key);
    if (existing && !existing.controller.signal.aborted) return existing;
    const controller = new AbortController();
    const result = work(controller.signal).finally(() => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    });
    const running: Running = { result, controller, waiting: 0 };
    this.#running.set(key, running);
    return running;
  }
}
