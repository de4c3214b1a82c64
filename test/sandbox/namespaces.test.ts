// The built-in rung: the contract.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namespaceSandbox } from '../../src/sandbox/namespaces.ts';
import { sandboxContract } from '../contracts/sandbox.ts';

sandboxContract(namespaceSandbox(), ['keeps to the access that was given to a device']);

test('the built-in sandbox refuses to give a device for reading or writing only', () => {
  const devices = [{ source: '/dev/null', target: '/dev/x', access: 'r' }];
  assert.throws(() => namespaceSandbox().check({ devices }), {
    message:
      /^--device \/dev\/null with access r cannot be kept with --isolation=namespace: .* no device cgroup/,
  });
});
