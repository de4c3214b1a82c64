// SIGKILL of slipway during a RUN: nothing that the step has started goes on, also what has made itself a daemon; what
// holds secrets goes away; and the next build works.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { killStrays } from '../../src/sandbox/strays.ts';
import { type Somebody, somebody, type Who } from '../support/as-user.ts';
import { baseImages } from '../support/base-registry.ts';
import { processesWith, waitUntilGone } from '../support/processes.ts';
import { must, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

const started = new Set<ChildProcess>();
afterEach(() => {
  for (const child of started) child.kill('SIGKILL');
  started.clear();
});

/** Somebody with a home to build in. */
interface Builder extends Pick<Somebody, 'home' | 'wrap'> {
  [Symbol.dispose](): void;
}

function builder(who: Who | 'root'): Builder {
  if (who === 'root') {
    const { dir, ...rest } = program();
    return { home: dir, wrap: argv => argv, [Symbol.dispose]: rest[Symbol.dispose] };
  }
  const user = somebody(who);
  return {
    ...user,
    [Symbol.dispose]() {
      // Files of subordinate ids are for the user's own root to remove.
      rmSync(user.home, { recursive: true, force: true });
      user[Symbol.dispose]();
    },
  };
}

/** A temporary directory of the builder's own. */
const temporary = ({ home }: Builder) => join(home, 'tmp');

function prepare(b: Builder, flags: readonly string[], dockerfile: string, source?: string) {
  const registries = join(b.home, 'registries.conf');
  copyFileSync(registry.registriesConf, registries);
  chmodSync(registries, 0o644);
  const context = join(b.home, 'context');
  const owner = statSync(b.home);
  for (const dir of [context, temporary(b)]) {
    mkdirSync(dir, { recursive: true });
    chownSync(dir, owner.uid, owner.gid);
  }
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  const argv = [process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', join(b.home, 'store')];
  return {
    argv: b.wrap([...argv, 'build', '--progress=plain', ...flags, source ?? context]),
    env: { ...process.env, CONTAINERS_REGISTRIES_CONF: registries, TMPDIR: temporary(b), WORD: canary },
  };
}

/** Starts a build; resolves when its step says that it runs. */
async function start(b: Builder, flags: readonly string[], dockerfile: string): Promise<ChildProcess> {
  const { argv, env } = prepare(b, flags, dockerfile);
  const [file = '', ...args] = argv;
  const child = spawn(file, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  started.add(child);
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', chunk => {
      said += chunk;
      if (/^#\d+ [\d.]+ it runs/m.test(said)) resolve();
    });
    child.once('exit', () => reject(new Error(`the step has not begun:\n${said}`)));
  });
  return child;
}

/** Not before what slipway wrote to has ended: nobody else has it open. */
async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'close');
}

const canary = 'do-not-leave-me-lying-about';

/** Processes in sessions of their own whose parents are gone, that shield themselves from signals. */
const daemons = (marker: string) =>
  `trap '' HUP INT TERM; (sleep ${marker} &); setsid sh -c '(setsid sleep ${marker} &); exec sleep ${marker}' & `;

const rungs = [
  ['root', 'oci'],
  ['root', 'namespace'],
  ['root', 'chroot'],
  ['root', 'proot'],
  ['container', 'chroot'],
  ['subordinate ids', 'namespace'],
  ['single id', 'namespace'],
  ['no namespaces', 'proot'],
] as const satisfies readonly (readonly [Who | 'root', string])[];

for (const [i, [who, isolation]] of rungs.entries()) {
  test(`${who}: nothing of a step of ${isolation} survives SIGKILL of slipway, nor what watched over it`, async () => {
    using b = builder(who);
    const marker = `4${i}7701`;
    const step = `FROM busybox\nRUN ${daemons(marker)}echo it runs; sleep ${marker}\n`;
    const child = await start(b, [`--isolation=${isolation}`], step);
    while (processesWith(`sleep\0${marker}`).length < 4) {
      assert.equal(child.exitCode, null);
      await sleep(20);
    }
    await kill(child);
    await waitUntilGone(marker);
    for (const helper of [`/proc/${child.pid}/fd/`, b.home]) await waitUntilGone(helper);
  });
}

/** Limits by which another slipway would know its own steps; no higher ones can be set below them. */
const outerMark = [4999, 1499] as const;

for (const [i, [who, isolation]] of (
  [
    ['container', 'chroot'],
    ['no namespaces', 'proot'],
  ] as const
).entries()) {
  test(`${who}: nothing of a step of ${isolation} survives when slipway runs in a step that is cleared away`, async () => {
    using b = builder(who);
    const marker = `4${i}6601`;
    const [bytes, signals] = outerMark;
    const marked = ['prlimit', `--msgqueue=${bytes}`, `--sigpending=${signals}`];
    const step = `FROM busybox\nRUN ${daemons(marker)}echo it runs; sleep ${marker}\n`;
    const wrap: Builder['wrap'] = argv => [...marked, ...b.wrap(argv)];
    await start({ ...b, wrap }, [`--isolation=${isolation}`], step);
    await killStrays(outerMark);
    await waitUntilGone(marker);
  });
}

for (const [bytes, signals] of [
  [0, 50],
  [300, 2],
]) {
  test(`a step can be told from others with limits of ${bytes} bytes and ${signals} signals`, async () => {
    using b = builder('no namespaces');
    const low = ['prlimit', `--msgqueue=${bytes}`, `--sigpending=${signals}`];
    const { argv, env } = prepare(b, [], `FROM busybox\nRUN ${daemons('486601')}true\n`);
    await must([...low, ...argv], { env });
    assert.deepEqual(processesWith('486601'), []);
  });
}

for (const [i, isolation] of ['chroot', 'proot'].entries()) {
  test(`a build by ${isolation} ends with what reads its output, and leaves no process`, async () => {
    using b = builder('root');
    const marker = `4${i}8801`;
    const step = `FROM busybox\nRUN ${daemons(marker)}echo it runs\n`;
    const child = await start(b, [`--isolation=${isolation}`], step);
    const [status] = await once(child, 'close');
    assert.equal(status, 0);
    assert.deepEqual([...processesWith(marker), ...processesWith(`/proc/${child.pid}/fd/`)], []);
    assert.deepEqual(readdirSync(temporary(b)), []);
  });
}

/** Whether a file of this directory or below says the word; what goes away meanwhile does not. */
function says(path: string, word: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  try {
    if (stat?.isFile()) return readFileSync(path, 'latin1').includes(word);
    if (stat?.isDirectory()) return readdirSync(path).some(name => says(join(path, name), word));
    return false;
  } catch {
    return existsSync(path);
  }
}

for (const [who, isolation] of [
  ['container', 'chroot'],
  ['no namespaces', 'proot'],
] as const) {
  test(`${who}: secrets of a step of ${isolation} do not stay on the disk or in memory after SIGKILL`, async () => {
    using b = builder(who);
    const mount = '--mount=type=secret,id=word,target=/word,mode=0444';
    const step = `FROM busybox\nRUN ${mount} cat /word > /dev/null && echo it runs; exec sleep 497701\n`;
    const secret = ['--secret', 'id=word,env=WORD'];
    const child = await start(b, [`--isolation=${isolation}`, ...secret], step);
    const places = [b.home, '/dev/shm'];
    assert.ok(places.some(place => says(place, canary)));
    await kill(child);
    const deadline = Date.now() + 20_000;
    while (places.some(place => says(place, canary))) {
      assert.ok(Date.now() < deadline, 'it is still there');
      await sleep(20);
    }
    assert.deepEqual(readdirSync(temporary(b)), []);
  });
}

for (const [who, isolation] of rungs) {
  test(`${who}: a build by ${isolation} works after one with the same cache mount was killed`, async () => {
    using b = builder(who);
    const step = (command: string) =>
      `FROM busybox\nRUN --mount=type=cache,target=/cache,sharing=locked ${command}\n`;
    const flags = [`--isolation=${isolation}`];
    await kill(await start(b, flags, step('echo it runs > /cache/file; cat /cache/file; exec sleep 497702')));
    const { argv, env } = prepare(b, flags, step('ls /cache > /dev/null && echo 1 > /cache/file'));
    await must(argv, { env });
    const again = prepare(b, flags, step('grep 1 /cache/file'));
    await must(again.argv, { env: again.env });
    assert.deepEqual(readdirSync(join(b.home, 'store/ingest')), []);
  });
}

/** Ends a server and its connections with the test, however that ends: else the file would never. */
function closing(server: Server): Disposable {
  const sockets = new Set<Socket>();
  server.on('connection', socket => sockets.add(socket));
  return {
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

for (const [what, dockerfile, context] of [
  ['ADD', (url: string) => `FROM scratch\nADD ${url} /x\n`, () => []],
  ['the context', () => 'FROM scratch\n', (url: string) => [url]],
] as const) {
  test(`git that fetches ${what} does not survive SIGKILL of slipway`, async () => {
    using b = builder('root');
    // A server that takes what it is asked, and never answers.
    const server = createServer(() => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    using _closing = closing(server);
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/app.git`;
    const { argv, env } = prepare(b, [], dockerfile(url), ...context(url));
    const [file = '', ...args] = argv;
    const asked = once(server, 'connection');
    const child = spawn(file, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    started.add(child);
    const [socket] = await asked;
    const ended = once(socket.resume(), 'close', { signal: AbortSignal.timeout(20_000) });
    await kill(child);
    await ended;
    await waitUntilGone(`/proc/${child.pid}/fd/`);
  });
}
