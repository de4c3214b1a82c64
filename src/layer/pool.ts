// Threads that work on bytes with synchronous calls (HOUSE decision 4), so that the main thread stays free. They start
// with the first job and keep the process alive only while they have one.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { BuildError, type ErrorCode, messageOf } from '../errors.ts';
import type { Answer, Job, JobKind, JobOf, JobResults, PlainError } from './jobs.ts';

const maxThreads = 4;

/** Beside this file, as source, as compiled test and as bundle. */
const entryFile = new URL(
  `./bytes-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`,
  import.meta.url,
);

interface Task {
  readonly job: Job;
  readonly resolve: (value: JobResults[JobKind]) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * A thread is idle, or it has one task:
 *
 *   (none) --start--> idle --task--> busy --answer--> idle
 *                                     |--abort, crash--> ended (a new one starts when needed)
 */
interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
}

export class BytesPool {
  readonly #size: number;
  readonly #threads = new Set<Thread>();
  readonly #queue: Task[] = [];

  constructor(size: number = Math.min(availableParallelism(), maxThreads)) {
    this.#size = size;
  }

  /**
   * Does a job on the next free thread, in the order of the calls.
   * @param signal a job that waits is dropped; one that runs is ended with its thread, and only then does this reject
   * @throws BuildError what the job threw; `interrupted` on abort
   */
  async run<K extends JobKind>(job: JobOf<K>, signal?: AbortSignal): Promise<JobResults[K]> {
    if (signal?.aborted) throw interrupted(signal);
    let abort = (): void => {};
    try {
      return await new Promise<JobResults[K]>((resolve, reject) => {
        const task: Task = { job, resolve: value => resolve(value as JobResults[K]), reject, signal };
        abort = () => this.#abort(task);
        signal?.addEventListener('abort', abort, { once: true });
        this.#queue.push(task);
        this.#next();
      });
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Ends all threads; what they worked on is rejected as interrupted. */
  async close(): Promise<void> {
    const closed = new BuildError('interrupted', 'the work on layers was ended');
    for (const task of this.#queue.splice(0)) task.reject(closed);
    await Promise.all([...this.#threads].map(thread => this.#end(thread, closed)));
  }

  #next(): void {
    if (this.#queue.length === 0) return;
    let thread = [...this.#threads].find(candidate => candidate.task === undefined);
    if (!thread && this.#threads.size < this.#size) thread = this.#start();
    const task = thread && this.#queue.shift();
    if (!thread || !task) return;
    thread.task = task;
    thread.worker.ref();
    try {
      thread.worker.postMessage(task.job);
    } catch (error) {
      this.#settle(thread, () => task.reject(error));
    }
  }

  #start(): Thread {
    // The program's own flags are none of a worker's business, and some (--input-type) it does not accept.
    // Descriptors come from the C library and are closed by node, which would warn of each of them.
    const worker = new Worker(entryFile, { name: 'slipway-bytes', execArgv: [], trackUnmanagedFds: false });
    const thread: Thread = { worker, task: undefined };
    worker.unref();
    worker.on('message', (answer: Answer) => {
      const { task } = thread;
      this.#settle(thread, () =>
        answer.ok ? task?.resolve(answer.value) : task?.reject(revive(answer.error)),
      );
    });
    worker.on('error', error => this.#lost(thread, error));
    worker.on('exit', () => this.#lost(thread, undefined));
    this.#threads.add(thread);
    return thread;
  }

  #settle(thread: Thread, tell: () => void): void {
    thread.task = undefined;
    thread.worker.unref();
    tell();
    this.#next();
  }

  #lost(thread: Thread, cause: unknown): void {
    if (!this.#threads.delete(thread)) return;
    const why = cause === undefined ? '' : `: ${messageOf(cause)}`;
    thread.task?.reject(new BuildError('internal', `a worker thread ended unexpectedly${why}`, { cause }));
    thread.task = undefined;
    this.#next();
  }

  #abort(task: Task): void {
    const error = interrupted(task.signal);
    const waiting = this.#queue.indexOf(task);
    if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      task.reject(error);
      return;
    }
    const thread = [...this.#threads].find(candidate => candidate.task === task);
    if (thread) void this.#end(thread, error);
  }

  async #end(thread: Thread, error: BuildError): Promise<void> {
    const { task } = thread;
    thread.task = undefined;
    this.#threads.delete(thread);
    // Its files may be removed only when nothing writes to them any more.
    await thread.worker.terminate();
    task?.reject(error);
    this.#next();
  }
}

let shared: BytesPool | undefined;

/** The threads of this process. */
export function sharedPool(): BytesPool {
  shared ??= new BytesPool();
  return shared;
}

function interrupted(signal: AbortSignal | undefined): BuildError {
  const reason: unknown = signal?.reason;
  if (reason instanceof BuildError) return reason;
  return new BuildError('interrupted', 'the work on a layer was interrupted', { cause: reason });
}

function revive(error: PlainError): Error {
  if (error.code === undefined) {
    return Object.assign(new Error(error.message), { code: error.errno, stack: error.stack });
  }
  return new BuildError(error.code as ErrorCode, error.message, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.facts === undefined ? {} : { facts: error.facts }),
  });
}
