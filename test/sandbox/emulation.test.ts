// Trial programs: each is executed by the emulator of its architecture, so a wrong byte shows.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hostPlatform, parsePlatform } from '../../src/image/platform.ts';
import { canRun, endingProgram } from '../../src/sandbox/emulation.ts';

const emulators = {
  amd64: 'x86_64',
  '386': 'i386',
  arm64: 'aarch64',
  arm: 'arm',
  riscv64: 'riscv64',
  ppc64le: 'ppc64le',
  s390x: 's390x',
};

describe('programs of other architectures', () => {
  for (const [architecture, name] of Object.entries(emulators)) {
    it(`the trial program for ${architecture} ends well under its emulator`, () => {
      const dir = mkdtempSync(join(tmpdir(), 'slipway-emulation-'));
      try {
        const path = join(dir, 'trial');
        writeFileSync(path, endingProgram(architecture) ?? '', { mode: 0o755 });
        const ended = spawnSync(`qemu-${name}-static`, [path]);
        assert.ifError(ended.error);
        assert.equal(ended.signal, null);
        assert.equal(ended.status, 0);
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    });
  }

  it('this machine runs its own programs, and none of another system', async () => {
    assert.equal(await canRun(hostPlatform()), true);
    assert.equal(await canRun(parsePlatform('windows/amd64')), false);
  });
});
