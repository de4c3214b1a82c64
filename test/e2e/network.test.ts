// --network=private: a network of the step's own, through the programs that are really installed, as root and as an
// ordinary user. The server that steps talk to is on this machine.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Somebody, somebody, type Who } from '../support/as-user.ts';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { type Ended, program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

let registry: BaseRegistry;
let server: Server;
let port: number;

before(async () => {
  registry = await startRegistry();
  server = createServer((_request, response) => response.end('canary of this machine\n'));
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()));
  port = (server.address() as { port: number }).port;
});

after(async () => {
  server?.close();
  await registry?.stop();
});

const helpers = ['pasta', 'slirp4netns'] as const;

/**
 * Only the helpers named are to be found, and anybody may open /dev/net/tun, as Debian has it: both in a mount namespace
 * that goes with the program.
 */
function withHelpers(found: readonly string[], argv: readonly string[]): readonly string[] {
  const hidden = helpers.filter(name => !found.includes(name));
  const script = [
    'mkdir -p /dev/net && mount -t tmpfs tun /dev/net && mknod -m 666 /dev/net/tun c 10 200',
    ...hidden.map(name => `mount --bind /dev/null "$(command -v ${name})"`),
    'exec "$@"',
  ].join(' && ');
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', ...argv];
}

interface Place {
  /** Writable by whoever builds. */
  readonly dir: string;
  readonly wrap?: Somebody['wrap'];
}

function buildArgv(place: Place, dockerfile: string, flags: readonly string[]): readonly string[] {
  const context = join(place.dir, 'context');
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  const registries = join(place.dir, 'registries.conf');
  copyFileSync(registry.registriesConf, registries);
  chmodSync(registries, 0o644);
  const argv = [
    ...[process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', join(place.dir, 'store')],
    ...['build', '--progress=plain', '--no-cache', '--network=private', ...flags, context],
  ];
  return place.wrap?.(argv) ?? argv;
}

function build(
  place: Place,
  found: readonly string[],
  dockerfile: string,
  flags: readonly string[] = [],
): Promise<Ended> {
  return run(withHelpers(found, buildArgv(place, dockerfile, flags)), {
    env: { CONTAINERS_REGISTRIES_CONF: join(place.dir, 'registries.conf') },
  });
}

const lines = (ended: Ended) =>
  [...ended.stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map(match => match[1] ?? '');

/** Host gateway, the step's own loopback, and what a step can see of this machine without a name for it. */
async function checkPrivate(place: Place, helper: string, flags: readonly string[]): Promise<void> {
  const open = await build(
    place,
    [helper],
    `FROM busybox
RUN ls /sys/class/net; grep machine /etc/hosts; grep nameserver /etc/resolv.conf
RUN wget -q -O- http://10.0.2.2:${port}/
RUN wget -q -O- http://127.0.0.1:${port}/ || echo own loopback
RUN --network=none ls /sys/class/net
`,
    [...flags, '--add-host', 'machine:host-gateway'],
  );
  assert.equal(open.status, 0, open.stderr);
  const said = lines(open).filter(line => !/wget:/.test(line));
  const expected = [
    'lo',
    'tap0',
    '10.0.2.2\tmachine',
    'nameserver 10.0.2.3',
    'canary of this machine',
    'own loopback',
    'lo',
  ];
  assert.deepEqual(said, expected);

  const closed = await build(
    place,
    [helper],
    `FROM busybox\nRUN timeout 3 wget -q -O- http://10.0.2.2:${port}/ || echo no way\n`,
    flags,
  );
  assert.equal(closed.status, 0, closed.stderr);
  assert.doesNotMatch(closed.stderr, /canary/);
}

for (const helper of helpers) {
  for (const isolation of ['oci', 'namespace']) {
    test(`through ${helper}, as root with --isolation=${isolation}`, async () => {
      using slipway = program();
      await checkPrivate({ dir: slipway.dir }, helper, [`--isolation=${isolation}`]);
    });
  }
  for (const who of ['subordinate ids', 'single id'] as const satisfies readonly Who[]) {
    test(`through ${helper}, as a user with ${who}`, async () => {
      using user = somebody(who);
      try {
        await checkPrivate({ dir: user.home, wrap: user.wrap }, helper, []);
      } finally {
        rmSync(user.home, { recursive: true, force: true });
      }
    });
  }
}

/** Answers every question for an address (rfc-editor.org/rfc/rfc1035, section 4.1) with 192.0.2.77. */
function answer(query: Buffer): Buffer {
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(1, 6);
  head.fill(0, 8);
  const end = query.indexOf(0, 12) + 5;
  const isAddress = query.readUInt16BE(end - 4) === 1;
  if (!isAddress) head.writeUInt16BE(0, 6);
  const record = Buffer.from('c00c00010001000000010004c000024d', 'hex');
  return Buffer.concat([head, query.subarray(12, end), ...(isAddress ? [record] : [])]);
}

test('a name server on a loopback address of this machine is asked, unless --dns names another', async () => {
  using slipway = program();
  const name = createSocket('udp4');
  name.on('message', (query, peer) => name.send(answer(query), peer.port, peer.address));
  await new Promise<void>(resolve => name.bind(53, '127.0.0.153', () => resolve()));
  try {
    const resolver = join(slipway.dir, 'resolv.conf');
    writeFileSync(resolver, 'nameserver 127.0.0.153\n');
    const wrap = (argv: readonly string[]) => [
      ...['sh', '-c', 'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolver],
      ...argv,
    ];
    const text = 'FROM busybox\nRUN nslookup some.example. | grep 77; grep nameserver /etc/resolv.conf\n';
    for (const helper of helpers) {
      const asked = await build({ dir: slipway.dir, wrap }, [helper], text);
      assert.deepEqual(lines(asked), ['Address: 192.0.2.77', 'nameserver 10.0.2.3'], asked.stderr);
    }
    const other = 'FROM busybox\nRUN grep nameserver /etc/resolv.conf\n';
    const told = await build({ dir: slipway.dir, wrap }, helpers, other, ['--dns', '192.0.2.9']);
    assert.deepEqual(lines(told), ['nameserver 192.0.2.9'], told.stderr);
  } finally {
    name.close();
  }
});

test('without a helper the build fails and says what to install', async () => {
  using slipway = program();
  const ended = await build({ dir: slipway.dir }, [], 'FROM busybox\nRUN true\n');
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /a private network cannot be made: pasta is not installed; slirp4netns is not/);
  assert.match(ended.stderr, /install passt or slirp4netns/);
});

test('where there are no network namespaces the build fails rather than share the network', async () => {
  using slipway = program();
  for (const isolation of ['chroot', 'proot']) {
    const flags = [`--isolation=${isolation}`];
    const ended = await build({ dir: slipway.dir }, helpers, 'FROM busybox\nRUN echo ran\n', flags);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /the network cannot be taken away from a step/);
    assert.doesNotMatch(ended.stderr, /^#\d+ \d+\.\d+ ran/m);
  }
});

test('RUN --network=host needs --allow network.host in a build with a private network', async () => {
  using slipway = program();
  const text = `FROM busybox\nRUN --network=host wget -q -O- http://127.0.0.1:${port}/\n`;
  const refused = await build({ dir: slipway.dir }, helpers, text);
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /--network=host was not allowed in a build with --network=private/);
  const allowed = await build({ dir: slipway.dir }, helpers, text, ['--allow', 'network.host']);
  assert.match(allowed.stderr, /canary of this machine/);
});

/** Processes that have `text` in their command line. */
function processesWith(text: string): readonly string[] {
  return readdirSync('/proc').filter(pid => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
    } catch {
      return false; // it has just ended
    }
  });
}

test('the helper ends with the step, and with slipway when that is killed', async () => {
  using slipway = program();
  for (const helper of helpers) {
    for (const kill of [false, true]) {
      const text = `FROM busybox\nRUN echo ready; ${kill ? 'sleep 1000' : 'true'}\n`;
      const argv = buildArgv({ dir: slipway.dir }, text, []);
      const [command = '', ...args] = withHelpers([helper], argv);
      const child = spawn(command, args, {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, CONTAINERS_REGISTRIES_CONF: join(slipway.dir, 'registries.conf') },
      });
      const ended = new Promise(resolve => child.once('close', resolve));
      const mark = `/slipway-run-${child.pid}-`;
      let said = '';
      for await (const chunk of child.stderr.setEncoding('utf8')) {
        said += chunk;
        if (!/^#\d+ \d+\.\d+ ready/m.test(said) || !kill) continue;
        assert.equal(processesWith(mark).length > 0, true);
        child.kill('SIGKILL');
      }
      await ended;
      assert.match(said, /^#\d+ \d+\.\d+ ready/m);
      // The kernel takes its time with the rest of a process tree.
      while (kill && processesWith(mark).length > 0) await sleep(20);
      assert.deepEqual(processesWith(mark), []);
    }
  }
});
