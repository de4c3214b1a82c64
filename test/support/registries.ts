// Registries as the tests use them: an empty home, no configuration of this machine, pauses that last no time.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parsePlatform } from '../../src/image/platform.ts';
import { openRegistries, type Registries, type RegistriesOptions } from '../../src/registry/registry.ts';

export const amd64 = parsePlatform('linux/amd64');

/** A signal that never fires. */
export const never: AbortSignal = new AbortController().signal;

export interface TestRegistries extends Registries {
  /** Also `etc`. */
  readonly home: string;
  /** Pauses between attempts, in milliseconds, as they were asked for. */
  readonly pauses: number[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param options `env` and `home` have defaults; a `home` of one's own is not removed */
export function testRegistries(options: Partial<RegistriesOptions> = {}): TestRegistries {
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'slipway-home-'));
  const pauses: number[] = [];
  const sleep = async (ms: number) => void pauses.push(ms);
  const registries = openRegistries({
    etc: join(home, 'etc'),
    env: { PATH: process.env.PATH },
    ...options,
    home,
    retry: { sleep, ...options.retry },
  });
  return {
    resolve: (...args) => registries.resolve(...args),
    fetchManifest: (...args) => registries.fetchManifest(...args),
    download: (...args) => registries.download(...args),
    push: (...args) => registries.push(...args),
    checkPushRight: (...args) => registries.checkPushRight(...args),
    stream: (...args) => registries.stream(...args),
    listTags: (...args) => registries.listTags(...args),
    listRepositories: (...args) => registries.listRepositories(...args),
    listReferrers: (...args) => registries.listReferrers(...args),
    checkLogin: (...args) => registries.checkLogin(...args),
    close: () => registries.close(),
    home,
    pauses,
    async [Symbol.asyncDispose]() {
      await registries.close();
      if (!options.home) rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Collects a download. */
export class MemorySink {
  #parts: Uint8Array[] = [];
  restarts = 0;

  async write(chunk: Uint8Array): Promise<void> {
    this.#parts.push(Uint8Array.from(chunk));
  }

  async restart(): Promise<void> {
    this.restarts += 1;
    this.#parts = [];
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
