#!/bin/sh
# Put Fashion-MNIST into a folder (default: data), from the first source that has it: the folder itself, an
# installed Debian package, the publisher's download, or Debian's package, fetched and unpacked without root and
# without installing anything.
set -eu
folder=${1:-data}
python=${PYTHON:-python3}

if "$python" -m scaling.data fashion_mnist "data.dir=$folder"; then
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "error: Fashion-MNIST could not be downloaded, and there is no apt here to fetch Debian's package with." >&2
    exit 1
fi
echo "the download failed; fetching Debian's package dataset-fashion-mnist instead"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
# Lists and cache of our own: the system's may be empty, and only root may write to them.
apt() {
    apt-get -qq -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o Debug::NoLocking=1 \
        -o "APT::Sandbox::User=$(id -un)" "$@"
}
(cd "$work" && { apt download dataset-fashion-mnist 2>/dev/null || { apt update && apt download dataset-fashion-mnist; }; })
mkdir -p "$folder"
dpkg-deb --fsys-tarfile "$work"/dataset-fashion-mnist_*.deb |
    tar -x -C "$folder" ./usr/share/datasets/fashion-mnist ./usr/share/doc/dataset-fashion-mnist/copyright
"$python" -m scaling.data fashion_mnist "data.dir=$folder"
