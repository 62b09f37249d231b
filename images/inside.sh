#!/bin/sh
# Run a command as the given user in an image's root file system, which is read-only, including /tmp:
#   images/inside.sh ROOT UID:GID [--bind SOURCE TARGET]... -- [NAME=VALUE]... COMMAND...
# SOURCE is a folder; TARGET is a folder in the image, or a new one below /mnt. The environment has only the variables given.
# Needs root. The network is the caller's.
set -eu

if [ "$1" != --isolated ]; then
    exec unshare --mount --propagation private --pid --fork -- "$0" --isolated "$@"
fi
root=$2
user=$3
shift 3

mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/mnt"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
while [ "$1" != -- ]; do
    case $3 in /mnt/*) mkdir -p "$root$3" ;; esac
    mount --bind "$2" "$root$3"
    mount -o remount,bind,ro "$root$3"
    shift 3
done
shift
for place in "$root/dev" "$root/mnt" "$root"; do
    mount -o remount,bind,ro "$place"
done
exec chroot --userspec="$user" --groups= "$root" /usr/bin/env -i "$@"
