#!/bin/sh
# Makes rootfs.tar.gz beside this file: a root file system of one program, busybox (package busybox-static).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/rootfs.tar.gz}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/etc" "$root/root" "$root/tmp" "$root/home" "$root/usr/local/bin" "$root/var"
cp "$(command -v busybox)" "$root/bin/busybox"
for name in $("$root/bin/busybox" --list); do
  [ "$name" = busybox ] || ln "$root/bin/busybox" "$root/bin/$name"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' > "$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' > "$root/etc/group"
chmod 1777 "$root/tmp"
tar -C "$root" --numeric-owner --owner=0 --group=0 --mtime=@1700000000 --sort=name -czf "$out" .
