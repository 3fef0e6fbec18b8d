#!/bin/bash
# isolated.sh DIR COMMAND...: runs a command in namespaces of its own, with copies of /etc and empty
# /run and /var/lib. `DIR/etc` is added to /etc. With INSTALLED, the tree into which packages of this
# suite are unpacked, they are as good as installed.
set -eu
dir=$1
shift
if [ "${ENTREPOT_ISOLATED-}" != inside ]; then
  ENTREPOT_ISOLATED=inside exec unshare --mount --pid --fork --kill-child --mount-proc \
    --propagation private /bin/bash "$0" "$dir" "$@"
fi
mkdir -p "$dir/real/run" "$dir/real/lib"
cp -a /etc "$dir/real/etc"
# A Docker or Podman of this machine is none of this node.
rm -rf "$dir/real/etc/docker" "$dir/real/etc/containers" "$dir/real/etc/rancher"
if [ -n "${INSTALLED-}" ]; then
  mount -t overlay overlay -o "lowerdir=$INSTALLED/usr:/usr" /usr
  [ ! -d "$INSTALLED/etc" ] || cp -a "$INSTALLED/etc/." "$dir/real/etc/"
fi
[ ! -d "$dir/etc" ] || cp -a "$dir/etc/." "$dir/real/etc/"
mount --bind "$dir/real/etc" /etc
mount --bind "$dir/real/lib" /var/lib
mount --bind "$dir/real/run" /run
unset ENTREPOT_ISOLATED INSTALLED
exec "$@"
