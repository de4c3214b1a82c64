import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { Complaints } from '../../src/sandbox/proot-complaints.ts';

const missing =
  "proot error: '/nope' not found (root = /x, cwd = /, $PATH=(null))\nfatal error: see `proot --help`.\n";

/** What got through, and the errno that was reported. */
function through(chunks: readonly (readonly ['stdout' | 'stderr', string])[]) {
  const out: { stdout: string; stderr: string; errno?: unknown } = { stdout: '', stderr: '' };
  const complaints = new Complaints((stream, chunk) => {
    out[stream] += chunk.toString('latin1');
  });
  for (const [stream, text] of chunks) complaints.pass(stream, Buffer.from(text, 'latin1'));
  try {
    complaints.end('/nope');
  } catch (error) {
    assert.ok(error instanceof BuildError);
    out.errno = error.facts.errno;
  }
  return out;
}

describe('complaints of proot', () => {
  test('are understood wherever its writes are cut', () => {
    for (let a = 0; a <= missing.length; a++) {
      for (const b of [a, a + 1, a + 14]) {
        const parts = [missing.slice(0, a), missing.slice(a, b), missing.slice(b)];
        assert.deepEqual(through(parts.map(part => ['stderr', part] as const)), {
          stdout: '',
          stderr: '',
          errno: 'ENOENT',
        });
      }
    }
  });

  test('tell a missing command from one that may not be executed', () => {
    assert.equal(through([['stderr', "proot error: '/x' is not executable\n"]]).errno, 'EACCES');
  });

  test('leave its warnings in the output', () => {
    const warning = "proot warning: can't sanitize binding\n";
    assert.deepEqual(
      through([
        ['stderr', 'proot warn'],
        ['stderr', warning.slice(10)],
        ['stdout', 'ran\n'],
      ]),
      { stdout: 'ran\n', stderr: warning },
    );
  });

  test('are none once the step has written something', () => {
    assert.deepEqual(
      through([
        ['stdout', 'x'],
        ['stderr', missing],
      ]),
      { stdout: 'x', stderr: missing },
    );
    assert.deepEqual(through([['stderr', `own line\n${missing}`]]), {
      stdout: '',
      stderr: `own line\n${missing}`,
    });
  });

  test('are given back when the step goes on after words like them', () => {
    assert.deepEqual(
      through([
        ['stderr', missing],
        ['stderr', 'more\n'],
      ]),
      { stdout: '', stderr: `${missing}more\n` },
    );
  });

  test('lose no unfinished line', () => {
    assert.deepEqual(through([['stderr', 'pro']]), { stdout: '', stderr: 'pro' });
  });
});
