// What a step has left behind is found by its mark.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { killStrays, makeStrayMark } from '../../src/sandbox/strays.ts';

/** Its first thread ends, which makes it look like a zombie, and another one goes on. */
const headless = `
import ctypes, threading, time
threading.Thread(target=lambda: (time.sleep(0.2), print('alone', flush=True), time.sleep(1000))).start()
ctypes.CDLL(None).pthread_exit(None)
`;

test('a process is killed that bears the mark, also when its first thread has ended', async () => {
  const [bytes, signals] = [4321, 1234];
  const limits = [`--msgqueue=${bytes}`, `--sigpending=${signals}`];
  const child = spawn('prlimit', [...limits, 'python3', '-c', headless], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    const ended = once(child, 'exit', { signal: AbortSignal.timeout(20_000) });
    await killStrays([bytes, signals]);
    const [, signal] = await ended;
    assert.equal(signal, 'SIGKILL');
  } finally {
    child.kill('SIGKILL');
  }
});

test('a mark is lower than the limits of slipway itself, and another one each time', () => {
  for (const own of [
    [819_200, 96_365],
    [4999, 1499],
    [0, 50],
    [1, 2],
  ] as const) {
    const marks = Array.from({ length: 20 }, () => makeStrayMark(0.999999, own));
    for (const [bytes, signals] of marks) {
      assert.ok(bytes >= 0 && bytes <= own[0], `${bytes}`);
      assert.ok(signals > 0 && signals < own[1], `${signals}`);
    }
    if (own[1] > 40) assert.equal(new Set(marks.map(String)).size, marks.length);
  }
  assert.throws(() => makeStrayMark(0.5, [819_200, 1]), { code: 'sandbox' });
});
