// /dev/fuse for everybody, in a mount namespace that goes with the program.

/** @param place an empty directory */
export function withFuse(place: string, argv: readonly string[]): readonly string[] {
  const script = `mount -t tmpfs none "$1" && mknod -m 666 "$1/fuse" c 10 229 && mount --bind "$1/fuse" /dev/fuse && shift && exec "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', place, ...argv];
}
