#!/bin/sh
# Install PyTorch's CPU build where no accelerator is found and such a build can be had; else leave the choice to pip.
# PIP= is the pip to call, TORCH_CPU= the index that has those builds; empty installs nothing.
set -eu

[ -n "${TORCH_CPU:-}" ] || exit 0
[ "$(uname -s)" = Linux ] || exit 0 # elsewhere the default build is one for CPUs
if command -v nvidia-smi >/dev/null 2>&1 || [ -e /dev/kfd ]; then exit 0; fi
# Both or neither, and without their dependencies, which come from the usual place.
if ! $PIP install --quiet --no-deps --retries 0 --timeout 15 --index-url "$TORCH_CPU" torch torchvision 2>/dev/null; then
    echo "PyTorch's CPU build can't be had from $TORCH_CPU; the default build follows, with CUDA (3 GB)"
fi
