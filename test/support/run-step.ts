// A program for tests: runs a step that never ends and shields itself from signals. argv: rung, root file system.
import { findProgram } from '../../src/host/probe.ts';
import { namespaceSandbox } from '../../src/sandbox/namespaces.ts';
import { ociSandbox } from '../../src/sandbox/oci-runtime.ts';

const [, , rung, rootfs = ''] = process.argv;
const program = findProgram('runc', process.env.PATH) ?? 'runc';
const sandbox =
  rung === 'oci' ? ociSandbox({ program, name: 'runc', version: '', seccomp: true }) : namespaceSandbox();
const script =
  "trap '' TERM INT HUP; setsid sh -c \"trap '' TERM INT HUP; sleep 31415 & sleep 31415\" & sleep 31415 & " +
  'echo ready; while true; do sleep 31415; done';
await sandbox.run({
  ...{ rootfs, argv: ['/bin/sh', '-c', script], env: ['PATH=/bin'], cwd: '/' },
  ...{ uid: 0, gid: 0, groups: [], hostname: 'x', network: 'none', security: 'sandbox' },
  ...{ mounts: [], extraHosts: [], signal: new AbortController().signal },
  onOutput: (_stream, chunk) => process.stdout.write(chunk),
});
