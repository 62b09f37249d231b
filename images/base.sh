#!/bin/sh
# Make a base image from Debian's archive, for machines without access to a registry:  images/base.sh [NAME]
# SUITE is the Debian release, MIRROR a mirror other than debootstrap's default. debootstrap needs root.
set -eu

name=${1:-localhost/ast-base}
suite=${SUITE:-bookworm}

container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")

debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$root" ${MIRROR:+"$MIRROR"}

# Only needed to install more packages, or to read about the installed ones.
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/*-old "$root"/var/log/*.log \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "${root:?}"/dev/*
# debootstrap copies these two from this machine; every container gets its own.
rm -f "$root/etc/resolv.conf"
: >"$root/etc/hostname"

buildah unmount "$container" >/dev/null
buildah config --cmd /bin/bash "$container"
buildah commit --quiet "$container" "$name"
