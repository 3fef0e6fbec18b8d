# Fails with a message if this processor lacks what Bun needs, the instructions of x86-64-v2: without
# them it ends by "Illegal instruction". bin/entrepot sources this file; scripts/install.mjs runs it.
missing=
if [ -r /proc/cpuinfo ]; then
  # Other architectures have no line `flags`.
  while read -r key flags; do
    [ "$key" = flags ] || continue
    for flag in pni ssse3 sse4_1 sse4_2 popcnt; do
      case " $flags " in *" $flag "*) ;; *) missing="$missing $flag" ;; esac
    done
    break
  done </proc/cpuinfo
fi
if [ -n "$missing" ]; then
  cat >&2 <<MESSAGE
entrepot: this processor lacks the instructions$missing, without which Bun does not run: it needs x86-64-v2, as Intel's have it since 2008 and AMD's since 2011.
A virtual machine may have a better processor than it shows: give it another type than kvm64 or qemu64, such as host or x86-64-v2-AES. On a host with Proxmox VE: qm set VMID --cpu host, then stop and start the machine.
MESSAGE
  exit 1
fi
