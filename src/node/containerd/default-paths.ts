export const DEFAULT_SOCKET = "/run/containerd/containerd.sock";
/** The main configuration file of a containerd that was started without `--config`. */
export const DEFAULT_CONFIG = "/etc/containerd/config.toml";
