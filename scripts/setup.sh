#!/usr/bin/env bash
# Installs what the tests need from Debian's packages. As root it installs, as anybody else it says what is missing.
set -euo pipefail

# command:package
needs=(
  docker-registry:docker-registry dockerd:docker.io runc:runc crun:crun skopeo:skopeo umoci:umoci
  newuidmap:uidmap proot:proot busybox:busybox-static git:git ssh-keygen:openssh-client openssl:openssl htpasswd:apache2-utils
  mmdebstrap:mmdebstrap xz:xz-utils bzip2:bzip2 zstd:zstd strace:strace setpriv:util-linux
  qemu-aarch64-static:qemu-user-static python3:python3 objcopy:binutils setcap:libcap2-bin setfattr:attr curl:curl
  pasta:passt fuse-overlayfs:fuse-overlayfs slirp4netns:slirp4netns swift-ring-builder:swift
)

missing=()
for need in "${needs[@]}"; do
  command -v "${need%%:*}" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
# python3-minimal has the program without its library.
command -v python3 >/dev/null && { python3 -c 'import tarfile, pty' 2>/dev/null || missing+=(python3); }
python3 -c 'import yaml' 2>/dev/null || missing+=(python3-yaml)
# Tests put Debian's own into images, whatever else is called pip here.
[ -d /usr/lib/python3/dist-packages/pip ] || missing+=(python3-pip)
command -v docker >/dev/null || missing+=(docker.io)
[ -f /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "these Debian packages are missing: ${missing[*]}" >&2
  echo "try: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Newer releases have docker's client in a package of its own.
if ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1; then missing+=(docker-cli); fi
# Services of these packages are started by the tests themselves, on ports and sockets of their own.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.slipway && chmod +x /usr/sbin/policy-rc.d.slipway
[ -e /usr/sbin/policy-rc.d ] || { cp /usr/sbin/policy-rc.d.slipway /usr/sbin/policy-rc.d; remove_policy=1; }
trap 'rm -f /usr/sbin/policy-rc.d.slipway; [ -z "${remove_policy:-}" ] || rm -f /usr/sbin/policy-rc.d' EXIT
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
