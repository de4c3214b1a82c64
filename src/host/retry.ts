// Trying again: exponential backoff with full jitter, and what a server says in Retry-After (RFC 9110, 10.2.3).
// Whoever throws decides what is worth it: a BuildError whose facts say `retryable: true`.
import { setTimeout as sleepFor } from 'node:timers/promises';
import { BuildError } from '../errors.ts';

export interface RetryPolicy {
  /** How often something is tried altogether; default 5. */
  readonly attempts: number;
  /** Longest first pause, in milliseconds, doubled each time; default 500. */
  readonly delayMs: number;
  /** Longest pause, Retry-After included; default 30 s. */
  readonly maxDelayMs: number;
  /** No new attempt begins later than this after the first, in milliseconds; default 2 minutes. */
  readonly totalMs: number;
  /** 0 to 1. */
  random(): number;
  /** Milliseconds since some moment. */
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const defaultRetry: RetryPolicy = {
  attempts: 5,
  delayMs: 500,
  maxDelayMs: 30_000,
  totalMs: 120_000,
  random: Math.random,
  now: () => performance.now(),
  sleep: (ms, signal) => sleepFor(ms, undefined, { signal }),
};

/** Attempts that belong together. One that brought something new begins the count afresh. */
export class Attempts {
  readonly #policy: RetryPolicy;
  #count = 0;
  #since: number;

  constructor(policy: RetryPolicy) {
    this.#policy = policy;
    this.#since = policy.now();
  }

  /** Call when an attempt got further than those before. */
  progressed(): void {
    this.#count = 0;
    this.#since = this.#policy.now();
  }

  /** Waits before the next attempt. @throws `error` itself when it is final or there were enough attempts */
  async afterFailure(error: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#count += 1;
    const wait = this.#pause(error);
    if (wait === undefined) throw error;
    await this.#policy.sleep(wait, signal);
  }

  #pause(error: unknown): number | undefined {
    const policy = this.#policy;
    if (!isRetryable(error) || this.#count >= policy.attempts) return undefined;
    const asked = Number(error.facts.retryAfterMs ?? 0);
    const backoff = policy.random() * Math.min(policy.maxDelayMs, policy.delayMs * 2 ** (this.#count - 1));
    const wait = Math.min(policy.maxDelayMs, Math.max(asked, backoff));
    return policy.now() - this.#since + wait > policy.totalMs ? undefined : wait;
  }
}

/** Runs `attempt` until it succeeds. @throws its last error */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  const attempts = new Attempts(policy);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await attempts.afterFailure(error, signal);
    }
  }
}

export function isRetryable(error: unknown): error is BuildError {
  return error instanceof BuildError && error.facts.retryable === true;
}

/**
 * @param value of the Retry-After header: seconds or an HTTP date
 * @param nowMs milliseconds since 1970
 * @returns milliseconds to wait, 0 for a date that is past; undefined when the header says nothing usable
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1000;
  const date = /^[A-Za-z]{3}[\w ,:-]{10,40}$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
