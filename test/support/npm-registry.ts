// A package registry on loopback with a few real packages in it, so that `npm ci` in a RUN needs nothing from outside.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { must } from './program.ts';
import { repoRoot } from './repo.ts';

export interface NpmRegistry {
  readonly url: string;
  stop(): Promise<void>;
}

/** @param specs `name@version`; fetched with npm once and kept under dist/fixtures */
export async function startNpmRegistry(specs: readonly string[]): Promise<NpmRegistry> {
  const dir = join(repoRoot, 'dist/fixtures/npm');
  mkdirSync(dir, { recursive: true });
  const packages = new Map<string, { version: string; tarball: Buffer }>();
  for (const spec of specs) {
    const [name = '', version = ''] = spec.split('@');
    const file = join(dir, `${name}-${version}.tgz`);
    if (!existsSync(file)) await must(['npm', 'pack', '--silent', '--pack-destination', dir, spec]);
    if (!existsSync(file)) throw new Error(`npm pack ${spec} made ${readdirSync(dir)}`);
    packages.set(name, { version, tarball: readFileSync(file) });
  }
  const server = createServer((request, response) => {
    const [, name = '', part] = (request.url ?? '/').split('/');
    const found = packages.get(name);
    if (!found) return response.writeHead(404).end('{}');
    if (part !== undefined) return response.end(found.tarball);
    const base = `http://${request.headers.host}`;
    const integrity = `sha512-${createHash('sha512').update(found.tarball).digest('base64')}`;
    const dist = { tarball: `${base}/${name}/${name}-${found.version}.tgz`, integrity };
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        name,
        'dist-tags': { latest: found.version },
        versions: { [found.version]: { name, version: found.version, dist } },
      }),
    );
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/`,
    stop: () => new Promise(resolve => server.close(() => resolve())),
  };
}
