import type { PodContainer, PodTemplate } from "./pod-template.ts";

/** What a kubelet asks of CRI for a container. */

type Fields = Record<
  NonNullable<PodContainer["env"][number]["valueFrom"]>["fieldRef"]["fieldPath"],
  string
>;

/** The variables of a container, of which each may name those before it. */
export function environmentOf(env: PodContainer["env"], fields: Fields): Map<string, string> {
  const found = new Map<string, string>();
  for (const { name, value = "", valueFrom } of env) {
    found.set(name, valueFrom ? fields[valueFrom.fieldRef.fieldPath] : expanded(value, found));
  }
  return found;
}

export function namespacesOf({ hostNetwork, hostPID }: PodTemplate["spec"]): object {
  return { network: hostNetwork ? "NODE" : "POD", pid: hostPID ? "NODE" : "CONTAINER", ipc: "POD" };
}

/** @throws Error if it must not run as root and would */
export function securityOf(spec: PodContainer, template: PodTemplate["spec"]): object {
  const pod = template.securityContext;
  const own = spec.securityContext;
  const user = own.runAsUser ?? pod.runAsUser;
  const group = own.runAsGroup ?? pod.runAsGroup;
  if ((own.runAsNonRoot ?? pod.runAsNonRoot) && (user ?? 0) === 0) {
    throw new Error(`${spec.name} must not run as root, and has no other user`);
  }
  const seccomp = own.seccompProfile ?? pod.seccompProfile ?? { type: "Unconfined" as const };
  const { fsGroup } = pod;
  return {
    capabilities: {
      add_capabilities: own.capabilities.add,
      drop_capabilities: own.capabilities.drop,
    },
    privileged: own.privileged,
    namespace_options: namespacesOf(template),
    readonly_rootfs: own.readOnlyRootFilesystem,
    no_new_privs: !own.allowPrivilegeEscalation,
    seccomp: { profile_type: seccomp.type },
    masked_paths: MASKED_PATHS,
    readonly_paths: READONLY_PATHS,
    ...(user === undefined ? {} : { run_as_user: { value: user } }),
    ...(group === undefined ? {} : { run_as_group: { value: group } }),
    ...(fsGroup === undefined ? {} : { supplemental_groups: [fsGroup] }),
  };
}

/** What the kubelet hides of /proc and /sys from containers (`procMount: Default`). */
const MASKED_PATHS = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
];
const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** `$(NAME)` of what was defined before, as Kubernetes expands it; `$$` stands for a dollar sign. */
export function expanded(text: string, environment: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$\$|\$\(([\w.-]+)\)/g, (whole, name: string | undefined) =>
    name === undefined ? "$" : (environment.get(name) ?? whole),
  );
}

const UNITS: Readonly<Record<string, number>> = { "": 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

export function resourcesOf({ resources }: PodContainer): object {
  const limit = resources?.limits?.memory;
  if (limit === undefined) return {};
  const [, number = "", unit = ""] = /^(\d+)(\w*)$/.exec(limit) ?? [];
  const factor = UNITS[unit];
  if (factor === undefined) throw new Error(`${limit} is not known as an amount of memory`);
  return { memory_limit_in_bytes: Number(number) * factor };
}
