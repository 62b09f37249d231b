#!/bin/sh
# Build one image with buildah, which needs no daemon:  images/build.sh cpu|gpu
#
# IMAGE        its name; default: localhost/ast-ai-action:cpu or :gpu
# BASE         the image to build on; default: one made from Debian's archive by images/base.sh
# TORCH_INDEX  as in the Dockerfiles; default: theirs, or the general package index if theirs can't be reached
# MODELS       as in the Dockerfiles; default: context if the big checkpoint is in models/, else fetch, or embedded if
#              the hub can't be reached
set -eu

cd "$(dirname "$0")/.."
variant=$1
image=${IMAGE:-localhost/ast-ai-action:$variant}
big=models/ast-finetuned-audioset-10-10-0.4593
hub=${HF_ENDPOINT:-https://huggingface.co}
export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"

answers() {
    python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=10)' "$1" 2>/dev/null
}

if [ -z "${BASE:-}" ]; then
    BASE=localhost/ast-base
    buildah inspect --type image "$BASE" >/dev/null 2>&1 || images/base.sh "$BASE"
fi
if [ -z "${TORCH_INDEX+set}" ]; then
    TORCH_INDEX=$(sed -n 's/^ARG TORCH_INDEX=//p' "Dockerfile.$variant")
    if [ -n "$TORCH_INDEX" ] && ! answers "$TORCH_INDEX/"; then
        echo "$TORCH_INDEX can't be reached; using PyTorch from the general package index, with its CUDA libraries"
        TORCH_INDEX=
    fi
fi
if [ -z "${MODELS:-}" ]; then
    if [ -d "$big" ]; then
        MODELS=context
    elif answers "$hub/"; then
        MODELS=fetch
    else
        echo "$hub can't be reached; the image gets only the embedded checkpoint"
        MODELS=embedded
    fi
fi

# If this machine trusts additional certificates, the build has to as well. A mount keeps them out of the image.
bundle=/etc/ssl/certs/ca-certificates.crt
shift
[ ! -r "$bundle" ] || set -- --volume "$bundle:$bundle:ro"

began=$(date +%s)
# The address may contain a password.
source=$(git config --get remote.origin.url 2>/dev/null | sed 's#//[^@/]*@#//#' || true)
buildah bud "$@" --layers --file "Dockerfile.$variant" --tag "$image" \
    --build-arg BASE="$BASE" --build-arg TORCH_INDEX="$TORCH_INDEX" \
    --build-arg MODELS="$MODELS" --build-arg HF_ENDPOINT="$hub" \
    --build-arg VERSION="$(sed -n 's/^__version__ = "\(.*\)"/\1/p' block/__init__.py)" \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || true)" --build-arg SOURCE="$source" .
took=$(($(date +%s) - began))
echo "$image: $(buildah images --format '{{.Size}}' "$image"), built in $took s, MODELS=$MODELS," \
    "TORCH_INDEX=${TORCH_INDEX:-general}"
