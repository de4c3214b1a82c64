// ctrl-C during a RUN: the first stops the build and cleans up, a second kills; nothing that was started stays.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { baseImages } from '../support/base-registry.ts';
import { writeContext } from '../support/images.ts';
import { type Program, program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

/** Processes whose command line has the marker. */
function survivors(marker: string): readonly string[] {
  return readdirSync('/proc').filter(name => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(marker);
    } catch {
      return false;
    }
  });
}

async function waitUntilGone(marker: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (survivors(marker).length > 0) {
    assert.ok(Date.now() < deadline, `still there: ${survivors(marker)}`);
    await sleep(20);
  }
}

/** A build whose step never ends; resolves when the step runs. */
async function startBuild(
  slipway: Program,
  isolation: string,
  marker: string,
): Promise<{ child: ChildProcess; dest: string }> {
  const context = join(slipway.dir, 'context');
  mkdirSync(context);
  writeFileSync(
    join(context, 'Dockerfile'),
    `FROM busybox\nRUN trap '' INT TERM; (sleep ${marker} &); echo it runs; sleep ${marker}\n`,
  );
  const dest = join(slipway.dir, 'x.tar');
  const argv = [join(repoRoot, 'bin/slipway.js'), '--root', slipway.store, 'build', '--progress=plain'];
  const child = spawn(
    process.execPath,
    [...argv, `--isolation=${isolation}`, '-o', `type=docker,dest=${dest}`, context],
    {
      env: { ...process.env, CONTAINERS_REGISTRIES_CONF: registry.registriesConf },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', chunk => {
      said += chunk;
      if (/^#\d+ [\d.]+ it runs/m.test(said)) resolve();
    });
    child.once('exit', () => reject(new Error(`the step has not begun:\n${said}`)));
  });
  return { child, dest };
}

for (const [i, isolation] of ['oci', 'namespace', 'chroot', 'proot'].entries()) {
  test(`ctrl-C ends a step of ${isolation} with status 130, and leaves no process and no output`, async () => {
    using slipway = program();
    const marker = `31${i}01`;
    const { child, dest } = await startBuild(slipway, isolation, marker);
    child.kill('SIGINT');
    const [status] = await once(child, 'exit');
    assert.equal(status, 130);
    await waitUntilGone(marker);
    assert.equal(existsSync(dest), false);
    assert.deepEqual(readdirSync(join(slipway.store, 'ingest')), []);
  });
}

for (const [i, isolation] of ['oci', 'namespace', 'chroot', 'proot'].entries()) {
  test(`a second ctrl-C does not wait for a step of ${isolation}`, async () => {
    using slipway = program();
    const marker = `33${i}01`;
    const { child } = await startBuild(slipway, isolation, marker);
    child.kill('SIGINT');
    child.kill('SIGINT');
    const [status] = await once(child, 'exit');
    assert.equal(status, 130);
    await waitUntilGone(marker);
  });
}

for (const isolation of ['oci', 'namespace', 'chroot', 'proot']) {
  test(`a command of ${isolation} that a signal ends is reported with the signal and its last lines, and the log is whole`, async () => {
    using slipway = registry.slipway();
    const context = join(slipway.dir, 'context');
    mkdirSync(context);
    // Process 1 of a namespace, as runc has it, cannot end itself with a signal.
    const kill = isolation === 'oci' ? "exec 2>&1; sh -c 'kill -SEGV $$'; exit $?" : 'kill -SEGV $$';
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM busybox\nRUN seq 1 20000; echo last words; ${kill}\nRUN echo never\n`,
    );
    const ended = await slipway.run(['build', '-q', `--isolation=${isolation}`, context]);
    assert.equal(ended.status, 1);
    assert.match(
      ended.stderr,
      /error: the command was killed by SIGSEGV|error: the command ended with status 139[\s\S]*SIGSEGV ended it/,
    );
    assert.match(ended.stderr, /^ {2}20000\n {2}last words$/m);
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join('');
    const { stdout } = await slipway.must(['logs', '2']);
    assert.ok(stdout.startsWith(`${lines}last words\n`), stdout.slice(-200));
  });
}

for (const [columns, seen] of [
  [0, 'it runs\r'],
  [1, 'it runs'],
  [80, '| it runs'],
] as const) {
  test(`on a terminal of ${columns} columns progress is shown, and ctrl-C stops the build`, async () => {
    using slipway = registry.slipway();
    const dir = writeContext(slipway, { Dockerfile: 'FROM busybox\nRUN echo it runs; sleep 54321\n' });
    const ended = await run(
      [
        ...[
          'python3',
          join(repoRoot, 'test/support/on-terminal.py'),
          String(columns),
          seen,
          process.execPath,
        ],
        ...[join(repoRoot, 'bin/slipway.js'), '--root', slipway.store, 'build', dir],
      ],
      { env: { CONTAINERS_REGISTRIES_CONF: registry.registriesConf, TERM: 'xterm', CI: undefined } },
    );
    assert.match(ended.stdout, /error: interrupted/);
    assert.match(ended.stdout, /\nended with 130\n$/);
  });
}
