/** Options of `docker run`, `podman run` and `nerdctl run`, and of their `create`, that take no value. */
const WITHOUT_VALUE = new Set(
  [
    "--detach --disable-content-trust --env-host --help --http-proxy --init --interactive",
    "--no-healthcheck --no-hostname --no-hosts --oom-kill-disable --passwd --privileged",
    "--publish-all --quiet --read-only --read-only-tmpfs --replace --rm --rmi --rootfs --sig-proxy",
    "--tls-verify --tty --unsetenv-all --use-api-socket",
  ].flatMap((names) => names.split(" ")),
);

/** Any other letter than those of the same options. */
const LETTER_WITH_VALUE = /[^ditPq]/;

/** Options between the program and its verb that take a value. */
const GLOBAL_WITH_VALUE = new Set(
  [
    // docker
    "--config --context -c --host -H --log-level -l --tlscacert --tlscert --tlskey",
    // podman
    "--cgroup-manager --conmon --connection --events-backend --hooks-dir --identity --imagestore",
    "--module --network-cmd-path --network-config-dir --out --registries-conf --root --runroot",
    "--runtime --runtime-flag --ssh --storage-driver --storage-opt --tmpdir --url --volumepath",
    // nerdctl
    "--address -a --cni-netconfpath --cni-path --data-root --hosts-dir --namespace -n --snapshotter",
    "--host-gateway-ip --bridge-ip",
  ].flatMap((names) => names.split(" ")),
);

/** The options that take a value. */
const WITH_VALUE = new Set(
  [
    // docker
    "--add-host --annotation -a --attach --blkio-weight --blkio-weight-device --cap-add",
    "--cap-drop --cgroup-parent --cgroupns --cidfile --cpu-count --cpu-percent --cpu-period",
    "--cpu-quota --cpu-rt-period --cpu-rt-runtime -c --cpu-shares --cpus --cpuset-cpus",
    "--cpuset-mems --detach-keys --device --device-cgroup-rule --device-read-bps",
    "--device-read-iops --device-write-bps --device-write-iops --dns --dns-option",
    "--dns-search --domainname --entrypoint -e --env --env-file --expose --gpus --group-add",
    "--health-cmd --health-interval --health-retries --health-start-interval",
    "--health-start-period --health-timeout -h --hostname --io-maxbandwidth --io-maxiops --ip",
    "--ip6 --ipc --isolation --kernel-memory -l --label --label-file --link --link-local-ip",
    "--log-driver --log-opt --mac-address -m --memory --memory-reservation --memory-swap",
    "--memory-swappiness --mount --name --net --net-alias --network --network-alias",
    "--oom-score-adj --pid --pids-limit --platform -p --publish --pull --restart --runtime",
    "--security-opt --shm-size --stop-signal --stop-timeout --storage-opt --sysctl --tmpfs",
    "--ulimit -u --user --userns --uts -v --volume --volume-driver --volumes-from -w",
    "--workdir",
    // podman
    "--arch --authfile --cgroup-conf --cgroups --chrootdirs --conmon-pidfile --decryption-key",
    "--env-merge --gidmap --group-entry --health-on-failure --health-startup-cmd",
    "--health-startup-interval --health-startup-retries --health-startup-success",
    "--health-startup-timeout --hostuser --image-volume --init-path --os --passwd-entry",
    "--personality --pidfile --pod --pod-id-file --requires --sdnotify --seccomp-policy",
    "--secret --shm-size-systemd --signature-policy --subgidname --subuidname --systemd",
    "--timeout --tz --uidmap --umask --unsetenv --variant",
  ].flatMap((names) => names.split(" ")),
);

const LONG_OF: Readonly<Record<string, string>> = {
  "-e": "--env",
  "-p": "--publish",
  "-v": "--volume",
  "-u": "--user",
  "--net": "--network",
};

/** How an argument in the place of an option is to be read. */
export interface Option {
  /** Its long name, if it has one that matters here. */
  readonly name: string;
  /** The value in the same argument; undefined for none. */
  readonly attached: string | undefined;
  /** Whether the next argument is its value. */
  readonly takesNext: boolean;
}

/** Whether an option between the program and its verb takes the next argument. */
export function globalTakesNext(option: string): boolean {
  return GLOBAL_WITH_VALUE.has(option);
}

/**
 * Reads an option. One that is not known takes a value, as most do, unless the next argument is an
 * option or can only be the image.
 */
export function parseOption(
  option: string,
  next: string | undefined,
  isImage: (text: string) => boolean,
): Option {
  if (option.startsWith("--")) {
    const end = option.indexOf("=");
    if (end >= 0) {
      const name = option.slice(0, end);
      return { name: LONG_OF[name] ?? name, attached: option.slice(end + 1), takesNext: false };
    }
    const couldBeValue = next !== undefined && !isImage(next) && !/^-[a-zA-Z-]/.test(next);
    const takesNext = WITH_VALUE.has(option) || (!WITHOUT_VALUE.has(option) && couldBeValue);
    return { name: LONG_OF[option] ?? option, attached: undefined, takesNext };
  }
  // `-dp 5000:5000` is `-d -p 5000:5000`, and `-p5000:5000` is `-p 5000:5000`.
  const valued = option.slice(1).search(LETTER_WITH_VALUE);
  if (valued < 0) {
    const name = option.includes("P") ? "--publish-all" : option;
    return { name, attached: undefined, takesNext: false };
  }
  const letter = `-${option.charAt(valued + 1)}`;
  const attached = option.slice(valued + 2).replace(/^=/, "");
  return {
    name: LONG_OF[letter] ?? letter,
    attached: attached === "" ? undefined : attached,
    takesNext: attached === "",
  };
}
