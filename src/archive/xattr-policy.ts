// Which extended attributes of an archive are given to files. An archive must not say what only the kernel's overlay
// may say (trusted.overlay.*, user.overlay.*: opaque, redirect, metacopy), nor set labels of this machine's security
// modules.

const kept: ReadonlySet<string> = new Set([
  'security.capability',
  'system.posix_acl_access',
  'system.posix_acl_default',
]);

/** Whether extraction sets an attribute of this name. */
export function isKeptXattr(name: string): boolean {
  return kept.has(name) || (name.startsWith('user.') && !name.startsWith('user.overlay.'));
}
