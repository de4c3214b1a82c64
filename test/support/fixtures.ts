// The registry of base images that scripts/fixtures.js made, served by a real docker-registry, and a registries.conf
// that puts it in the place of Docker Hub.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { repoRoot } from './repo.ts';

export interface BaseRegistry {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** For CONTAINERS_REGISTRIES_CONF: docker.io is this registry. */
  readonly registriesConf: string;
  stop(): Promise<void>;
}

/** @param storage directory of the registry's files; default the base images (do not push there) */
export async function startRegistry(
  storage = join(repoRoot, 'dist/fixtures/registry'),
): Promise<BaseRegistry> {
  if (!existsSync(storage)) throw new Error(`${storage} is missing: run node scripts/fixtures.js as root`);
  const dir = mkdtempSync(join(tmpdir(), 'slipway-registry-'));
  const address = `127.0.0.1:${await freePort()}`;
  const config = join(dir, 'registry.yml');
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${storage}}}\nhttp: {addr: "${address}"}\n`,
  );
  const registriesConf = join(dir, 'registries.conf');
  writeFileSync(
    registriesConf,
    `unqualified-search-registries = ["docker.io"]\n[[registry]]\nprefix = "docker.io"\nlocation = "${address}"\ninsecure = true\n`,
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const gone = new Promise<void>(resolve => child.once('close', () => resolve()));
  for (let i = 0; ; i++) {
    const answer = await fetch(`http://${address}/v2/`).catch(() => undefined);
    if (answer?.ok) break;
    if (i > 100 || child.exitCode !== null) throw new Error('docker-registry did not start');
    await sleep(50);
  }
  return {
    address,
    registriesConf,
    async stop() {
      child.kill('SIGKILL');
      await gone;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
