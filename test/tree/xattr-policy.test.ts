import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKeptXattr } from '../../src/tree/xattr-policy.ts';

test('an image keeps capabilities, ACLs and what users set', () => {
  for (const name of ['security.capability', 'system.posix_acl_access', 'user.note', 'user.overlayed']) {
    assert.ok(isKeptXattr(name), name);
  }
});

test('an image cannot plant what overlay, a security module or slipway itself says', () => {
  for (const name of [
    'trusted.overlay.opaque',
    'user.overlay.opaque',
    'security.selinux',
    'user.slipway.owner',
  ]) {
    assert.ok(!isKeptXattr(name), name);
  }
});
