#!/bin/sh
# Make a base for both images from Debian's archive, for machines that reach no registry:  images/base.sh [NAME]
# SUITE says which Debian, MIRROR from where if not from debootstrap's own. Root only, as debootstrap is.
set -eu

name=${1:-localhost/ast-base}
suite=${SUITE:-bookworm}

container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")

debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$root" ${MIRROR:+"$MIRROR"}

# What only helps to install more packages, or to read about those that are there.
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/*-old "$root"/var/log/*.log \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "${root:?}"/dev/*
# debootstrap copies these two from the machine that it runs on; every container gets its own.
rm -f "$root/etc/resolv.conf"
: >"$root/etc/hostname"

buildah unmount "$container" >/dev/null
buildah config --cmd /bin/bash "$container"
buildah commit --quiet "$container" "$name"
