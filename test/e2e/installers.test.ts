// What installs things in real images: npm, pip, useradd, setcap. As root and for ordinary users; owners, modes and
// capabilities are looked up in the layers. Packages are made here.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Somebody, somebody, type Who } from '../support/as-user.ts';
import { copyTools } from '../support/debian-tools.ts';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { must, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

let registry: BaseRegistry;
let context: string;

before(async () => {
  registry = await startRegistry();
  context = mkdtempSync(join(tmpdir(), 'slipway-installers-'));
  chmodSync(context, 0o755);
  await copyTools(join(context, 'tools'));
  await makeNpmPackage();
  await makeWheel();
});

after(async () => {
  rmSync(context, { recursive: true, force: true });
  await registry?.stop();
});

/** With a program. Scripts of packages are left out: whether npm runs them depends on its version. */
async function makeNpmPackage(): Promise<void> {
  const dir = mkdtempSync(join(context, 'npm-'));
  mkdirSync(join(dir, 'package'));
  const manifest = {
    name: 'demo',
    version: '1.0.0',
    bin: { demo: 'demo.js' },
  };
  writeFileSync(join(dir, 'package/package.json'), JSON.stringify(manifest));
  writeFileSync(join(dir, 'package/demo.js'), '#!/usr/bin/env node\nconsole.log("demo runs");\n', {
    mode: 0o755,
  });
  await must(['tar', '-C', dir, '-czf', join(context, 'demo-1.0.0.tgz'), 'package']);
  rmSync(dir, { recursive: true });
}

/** packaging.python.org/specifications/binary-distribution-format */
async function makeWheel(): Promise<void> {
  const script = `
import sys, zipfile
info = 'demo-1.0.dist-info/'
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr('demo.py', 'def main():\\n    print("wheel runs")\\n')
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'entry_points.txt', '[console_scripts]\\nwheel-demo = demo:main\\n')
    wheel.writestr(info + 'RECORD', '')
`;
  await must(['python3', '-c', script, join(context, 'demo-1.0-py3-none-any.whl')]);
}

const dockerfile = `FROM node
COPY tools /
COPY demo* /src/
RUN npm install --offline --global /src/demo-1.0.0.tgz && demo
WORKDIR /app
RUN npm init -y >/dev/null && npm install --offline /src/demo-1.0.0.tgz && node_modules/.bin/demo
RUN pip3 install --no-index --break-system-packages --root-user-action=ignore /src/*.whl && wheel-demo
`;

/** What needs further ids: somebody with one id has no others to give. */
const users = `RUN useradd --create-home --uid 1234 alice && groupadd --gid 4321 crew && usermod -aG crew alice
RUN install -d -o alice -g crew -m 2750 /srv/shared
`;

const capabilities = `RUN cp /bin/true /usr/local/bin/pinger && setcap cap_net_raw,cap_net_admin+ep /usr/local/bin/pinger
RUN getcap /usr/local/bin/pinger
`;

interface Layer {
  readonly names: readonly string[];
  /** `mode owner name` of each entry. */
  readonly entries: readonly string[];
  readonly capabilities: Readonly<Record<string, string>>;
}

const readLayer = `
import sys, json, tarfile, stat
entries, capabilities = [], {}
with tarfile.open(sys.argv[1]) as tar:
    for member in tar:
        entries.append('%o %d:%d %s' % (member.mode, member.uid, member.gid, member.name.rstrip('/')))
        value = member.pax_headers.get('SCHILY.xattr.security.capability')
        if value is not None:
            capabilities[member.name] = value.encode('utf-8', 'surrogateescape').hex()
print(json.dumps({'entries': entries, 'capabilities': capabilities}))
`;

/** Builds as somebody. @returns what was printed and what is in the layers of the steps */
async function build(
  dir: string,
  text: string,
  flags: readonly string[],
  wrap: Somebody['wrap'] = argv => argv,
): Promise<{ printed: string; layers: readonly Layer[] }> {
  writeFileSync(join(dir, 'Dockerfile'), text);
  const registries = join(dir, 'registries.conf');
  copyFileSync(registry.registriesConf, registries);
  for (const file of [registries, join(dir, 'Dockerfile')]) chmodSync(file, 0o644);
  const layout = join(dir, 'layout');
  const argv = [
    ...[process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', join(dir, 'store')],
    ...['build', '--progress=plain', ...flags, '-f', join(dir, 'Dockerfile')],
    ...['-o', `type=oci,tar=false,dest=${layout}`, context],
  ];
  // Both streams, for the message of a failure.
  const printed = await must(wrap(['sh', '-c', '"$@" 2>&1', 'sh', ...argv]), {
    env: { CONTAINERS_REGISTRIES_CONF: registries },
  });
  const blob = (digest: string) => join(layout, 'blobs', digest.replace(':', '/'));
  const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  const manifest = json(blob(json(join(layout, 'index.json')).manifests[0].digest));
  const layers: Layer[] = [];
  for (const { digest } of manifest.layers.slice(1)) {
    layers.push(JSON.parse(await must(['python3', '-c', readLayer, blob(digest)])));
  }
  return { printed, layers };
}

function checkCommon({ printed, layers }: Awaited<ReturnType<typeof build>>): void {
  for (const said of ['demo runs', 'wheel runs'])
    assert.match(printed, new RegExp(`^#\\d+ \\d+\\.\\d+ ${said}$`, 'm'));
  const entries = layers.flatMap(layer => layer.entries);
  for (const entry of [
    /^755 0:0 usr\/local\/lib\/node_modules\/demo\/demo\.js$/,
    /^777 0:0 usr\/local\/bin\/demo$/,
    /^755 0:0 app\/node_modules\/demo\/demo\.js$/,
    /^755 0:0 usr\/local\/bin\/wheel-demo$/,
    /^644 0:0 usr\/local\/lib\/python3\.\d+\/dist-packages\/demo\.py$/,
  ]) {
    assert.ok(
      entries.some(each => entry.test(each)),
      String(entry),
    );
  }
}

function checkUsers({ layers }: Awaited<ReturnType<typeof build>>): void {
  const entries = layers.flatMap(layer => layer.entries);
  for (const entry of [
    /^700 1234:1234 home\/alice$|^755 1234:1234 home\/alice$/,
    /^644 1234:1234 home\/alice\/\.profile$/,
    /^640 0:42 etc\/shadow$/,
    /^2750 1234:4321 srv\/shared$/,
  ]) {
    assert.ok(
      entries.some(each => entry.test(each)),
      String(entry),
    );
  }
}

/** Version 2, as Docker has it: no user id of a namespace in it. */
const pinger = { 'usr/local/bin/pinger': '0100000200300000000000000000000000000000' };

function checkCapabilities({ printed, layers }: Awaited<ReturnType<typeof build>>): void {
  assert.match(printed, /pinger cap_net_admin,cap_net_raw=ep$/m);
  assert.deepEqual(Object.assign({}, ...layers.map(layer => layer.capabilities)), pinger);
}

test('as root: npm, pip, useradd, setcap', async () => {
  using slipway = program();
  const built = await build(slipway.dir, dockerfile + users + capabilities, []);
  checkCommon(built);
  checkUsers(built);
  checkCapabilities(built);
});

for (const [who, hasUsers] of [
  ['subordinate ids', true],
  ['single id', false],
] as const satisfies readonly (readonly [Who, boolean])[]) {
  test(`as a user with ${who}: npm, pip, ${hasUsers ? 'useradd, ' : ''}setcap`, async () => {
    using user = somebody(who);
    try {
      const text = dockerfile + (hasUsers ? users : '') + capabilities;
      const built = await build(user.home, text, [], user.wrap);
      checkCommon(built);
      if (hasUsers) checkUsers(built);
      checkCapabilities(built);
    } finally {
      rmSync(user.home, { recursive: true, force: true });
    }
  });
}
