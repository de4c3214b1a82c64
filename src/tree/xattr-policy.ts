// Which extended attributes of files belong to an image: capabilities, ACLs and what users set. Not overlay's own
// (trusted.overlay.*, user.overlay.*: opaque, redirect, metacopy), which only the kernel may say, nor the labels of a
// machine's security modules.

const kept: ReadonlySet<string> = new Set([
  'security.capability',
  'system.posix_acl_access',
  'system.posix_acl_default',
]);

/** Names in user.* that the kernel's overlay, fuse-overlayfs and slipway's own records (tree/owner-record.ts) are kept under. */
const ours = ['user.overlay.', 'user.fuseoverlayfs.', 'user.slipway.'];

/** Whether an attribute of this name is read from trees and set by extraction. */
export function isKeptXattr(name: string): boolean {
  if (name.startsWith('user.')) return !ours.some(prefix => name.startsWith(prefix));
  return kept.has(name);
}
