#!/bin/bash
# Boots Debian's systemd as PID 1 in new namespaces, on a temporary overlay over a tree of files, with
# containerd's unit as the only service, or with none.
# boot.sh DIR VISIBLE LOWER [BIN UNIT]: DIR and VISIBLE are visible inside; LOWER is the tree, such as /;
# BIN is the directory of the containerd to run, whose configuration DIR contains in etc/containerd; UNIT is
# its unit file.
set -eu
dir=$1 visible=$2 lower=$3 bin=${4-} unit=${5-}

if [ -z "${ENTREPOT_BOOT_INSIDE-}" ]; then
  # A new cgroup in every hierarchy: systemd manages all cgroups below the one in which it starts.
  groups=$(cat /proc/self/cgroup) # Read once: it changes with every cgroup that is entered.
  while IFS=: read -r _ controllers path; do
    [ "$controllers" != cpuset ] || continue # a new cpuset cannot be entered before it is configured
    if [ -n "$controllers" ]; then at=/sys/fs/cgroup/${controllers#name=}
    elif [ -e /sys/fs/cgroup/cgroup.procs ]; then at=/sys/fs/cgroup
    else at=/sys/fs/cgroup/unified; fi
    own=$at${path%/}/entrepot-boot-$$
    mkdir "$own" 2>/dev/null || continue
    echo "$own" >> "$dir/cgroups"
    echo $$ > "$own/cgroup.procs"
  done <<< "$groups"
  export ENTREPOT_BOOT_INSIDE=yes
  exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc /bin/bash "$0" "$@"
fi

layer=$dir/layer root=$dir/layer/root
mkdir -p "$layer"
mount --make-rprivate /
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/up" "$layer/work" "$root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$layer/up,workdir=$layer/work" "$root"
mount -t proc proc "$root/proc"
# It shares these kernel settings with the machine, so it must not change them.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
for fs in run dev var/lib/containerd opt; do
  mkdir -p "$root/$fs"
  mount -t tmpfs tmpfs "$root/$fs"
done
for node in null zero full random urandom tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/shm" "$root/dev/pts"
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
  while IFS=: read -r _ controllers _; do
    at=$root/sys/fs/cgroup/${controllers#name=}
    case $controllers in
      "") mkdir "${at}unified"; mount -t cgroup2 cgroup2 "${at}unified" ;;
      name=*) mkdir "$at"; mount -t cgroup -o "none,$controllers" cgroup "$at" ;;
      *) mkdir "$at"; mount -t cgroup -o "$controllers" cgroup "$at" ;;
    esac
  done < /proc/self/cgroup
fi
for folder in "$dir" "$visible"; do
  mkdir -p "$root$folder"
  mount --rbind "$folder" "$root$folder"
done
units=$root/etc/systemd/system
if [ -n "$bin" ]; then
  first=containerd.service
  for program in "$bin"/containerd*; do
    touch "$root/usr/bin/${program##*/}"
    mount --bind "$program" "$root/usr/bin/${program##*/}"
  done
  rm -rf "$root/etc/containerd"
  cp -r "$dir/etc/containerd" "$root/etc/containerd"
  mkdir -p "$units/containerd.service.d"
  cp "$unit" "$units/containerd.service"
  # Without the default dependencies: udev and other system services do not run inside.
  printf '[Unit]\nDefaultDependencies=no\n' > "$units/containerd.service.d/alone.conf"
else
  first=alone.target
  printf '[Unit]\nDefaultDependencies=no\n' > "$units/alone.target"
fi
cd "$root"
mkdir -p mnt
pivot_root . mnt
cd /
umount -l /mnt
# As systemd itself does where it does not run in a container: kubelets need it for mounts that reach into pods.
mount --make-rshared /
exec env -i container=entrepot PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=$first --log-target=kmsg
