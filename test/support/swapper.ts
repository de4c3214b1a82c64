// Somebody who exchanges two names as fast as he can (renameat2 with RENAME_EXCHANGE) while a test does its work.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const script = `
import ctypes,os,sys,select
libc=ctypes.CDLL(None,use_errno=True)
a,b=os.fsencode(sys.argv[1]),os.fsencode(sys.argv[2])
print("ready",flush=True)
tries=swaps=0
while True:
    swaps+=libc.renameat2(-100,a,-100,b,2)==0
    tries+=1
    if tries%100==0 and select.select([0],[],[],0)[0]: break
print(swaps,flush=True)
`;

/** @returns how to stop it, which says how often it exchanged the two */
export async function startSwapper(a: string, b: string): Promise<() => Promise<number>> {
  const child = spawn('python3', ['-c', script, a, b], { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', chunk => {
    said += chunk;
  });
  await once(child.stdout, 'data');
  return async () => {
    const closed = once(child, 'close');
    child.stdin.end();
    await closed;
    return Number(said.split('\n')[1]);
  };
}
