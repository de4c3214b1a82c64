// Starting programs.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { askProgram, runProgram } from '../../src/host/process.ts';
import { tempDir } from '../support/rootfs.ts';

const text = (bytes: Buffer) => bytes.toString('utf8');

test('arguments are passed as they are, no shell sees them', async () => {
  const answer = await askProgram(['printf', '%s|', '$HOME', '; ls', '*', 'a b']);
  assert.equal(text(answer.stdout), '$HOME|; ls|*|a b|');
});

test('status and signal are told apart', async () => {
  assert.deepEqual(await runProgram(['sh', '-c', 'exit 3']), { status: 3, signal: undefined });
  assert.deepEqual(await runProgram(['sh', '-c', 'kill -KILL $$']), { status: undefined, signal: 'SIGKILL' });
});

test('the environment is the one given and nothing else', async () => {
  const answer = await askProgram(['/usr/bin/env'], { env: { A: '1' } });
  assert.equal(text(answer.stdout), 'A=1\n');
});

test('stdin is empty, or what was given, also when the program does not read it', async () => {
  assert.equal(text((await askProgram(['cat'])).stdout), '');
  assert.equal(text((await askProgram(['cat'], { stdin: 'hello' })).stdout), 'hello');
  assert.equal((await runProgram(['true'], { stdin: Buffer.alloc(1 << 20) })).status, 0);
});

test('a program that is not there is named', async () => {
  await assert.rejects(runProgram(['no-such-program']), {
    code: 'not-found',
    message: 'the program no-such-program is not installed',
  });
});

test('arguments larger than the kernel takes are an error of ours, and leave no file open', async () => {
  const open = () => readdirSync('/proc/self/fd').length;
  await runProgram(['true'], { plainPipes: true });
  const before = open();
  for (const plainPipes of [true, false]) {
    const run = runProgram(['true', 'x'.repeat(1 << 20)], { plainPipes });
    await assert.rejects(run, { code: 'sandbox', message: /larger than the kernel takes/ });
  }
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(open(), before);
});

test('abort ends the program with what it started in its group', async () => {
  using temp = tempDir();
  const late = join(temp.path, 'late');
  const controller = new AbortController();
  const run = runProgram(['sh', '-c', `echo go; (sleep 1; touch ${late}) & wait`], {
    signal: controller.signal,
    onOutput: () => controller.abort(),
  });
  await assert.rejects(run, { code: 'interrupted' });
  await new Promise(resolve => setTimeout(resolve, 1500));
  assert.ok(!existsSync(late));
});

test('an abort before the start starts nothing', async () => {
  await assert.rejects(runProgram(['true'], { signal: AbortSignal.abort() }), { code: 'interrupted' });
});

test('limits end the program', async () => {
  await assert.rejects(
    runProgram(['yes'], { limits: { outputBytes: 100_000 } }),
    /yes writes more than 100000 bytes/,
  );
  await assert.rejects(
    runProgram(['sleep', '1000'], { limits: { timeMs: 50 } }),
    /sleep takes longer than 50 ms/,
  );
});

test('what onOutput throws ends the program and is thrown', async () => {
  const run = runProgram(['yes'], {
    onOutput: () => {
      throw new Error('enough');
    },
  });
  await assert.rejects(run, /enough/);
});

test('plain pipes can be opened anew by name', async () => {
  const answer = await askProgram(['sh', '-c', 'echo out > /dev/stdout; echo err > /dev/stderr'], {
    plainPipes: true,
  });
  assert.deepEqual([text(answer.stdout), text(answer.stderr)], ['out\n', 'err\n']);
});

test('plain pipes deliver everything', async () => {
  const answer = await askProgram(['sh', '-c', 'head -c 3000000 /dev/zero'], { plainPipes: true });
  assert.equal(answer.stdout.length, 3_000_000);
});
