// Processes of this machine, by what is on their command line.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';

/** Their ids, without this process. */
export function processesWith(marker: string): readonly string[] {
  return readdirSync('/proc').filter(name => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(marker);
    } catch {
      return false;
    }
  });
}

export async function waitUntilGone(marker: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (processesWith(marker).length > 0) {
    assert.ok(Date.now() < deadline, `still there: ${processesWith(marker)}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
