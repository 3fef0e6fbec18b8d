/** A folder of src/ (or a file at its top), and how high it stands. ARCHITECTURE.md says what each is. */
export const FLOORS: Readonly<Record<string, number>> = {
  "main.ts": 6,
  "serve.ts": 6,
  "node-command.ts": 6,
  "operator-command.ts": 6,
  "hit-worker.ts": 6,
  "download-worker.ts": 6,
  commands: 6,
  server: 5,
  node: 5,
  render: 5,
  doctor: 5,
  cluster: 5,
  warm: 5,
  readiness: 5,
  cache: 4,
  access: 4,
  history: 4,
  drill: 4,
  upstream: 3,
  store: 3,
  kubernetes: 3,
  events: 3,
  audit: 3,
  page: 3,
  api: 2,
  config: 2,
  telemetry: 2,
  oci: 1,
  "event-loop": 1,
  process: 0,
  "version.ts": 0,
  "printable.ts": 0,
};

export interface Rooms {
  /** Folders, and which of the others each may import; "." stands for the files beside them. */
  readonly folders: Readonly<Record<string, readonly string[]>>;
  /** Files beside the folders that put these together: they import any of them, and none imports them. */
  readonly above?: readonly string[];
}

/** Rooms of a floor, or of a room. Where nothing is listed, there is one room. */
export const ROOMS: Readonly<Record<string, Rooms>> = {
  page: {
    folders: {
      // Addresses and facts of pages.
      ".": [],
      // What pages are made of.
      parts: ["."],
      overview: [".", "parts"],
      images: [".", "parts"],
      readiness: [".", "parts"],
      // Tags that are not served as their registries say.
      held: [".", "parts"],
      history: [".", "parts"],
      jobs: [".", "parts"],
      settings: [".", "parts"],
      // A page from its head to its foot.
      whole: [
        ".",
        "parts",
        "overview",
        "images",
        "readiness",
        "held",
        "history",
        "jobs",
        "settings",
      ],
      // What runs in browsers.
      browser: [".", "parts", "history", "whole"],
    },
    above: ["pages.ts", "render.tsx", "load-view.ts", "assets.ts", "assets.macro.ts"],
  },
  config: {
    folders: {
      parsing: [],
      containerd: [],
      containers: ["containerd"],
      "kubernetes-api": ["parsing"],
      // What is in effect, and where it comes from.
      effective: [".", "parsing"],
      // The admin port, and what operators are told.
      operator: ["parsing"],
      // What is configured of traces.
      tracing: ["parsing"],
      // Who may pull.
      access: ["parsing"],
      // Which digests tags may have.
      policies: ["parsing"],
      // Registries of clouds, and whom the clouds take this machine for.
      cloud: ["parsing"],
      ".": [
        "parsing",
        "warm",
        "kubernetes-api",
        "operator",
        "tracing",
        "access",
        "policies",
        "cloud",
      ],
      // Rules, and the keys that they name.
      "policy-files": [".", "parsing", "policies", "upstreams"],
      foreign: [".", "parsing"],
      upstreams: [".", "parsing", "access", "cloud"],
      // Which settings claim the same one.
      addresses: [".", "parsing", "access"],
      cluster: [".", "parsing", "upstreams", "cloud"],
      // How the API of a cluster is reached.
      kubeconfig: [".", "parsing", "upstreams", "kubernetes-api"],
      // Whom the cache knows, and what they may pull.
      clients: [".", "parsing", "access", "upstreams"],
      // Of webhooks.
      events: [".", "parsing", "operator", "upstreams"],
      gardener: [".", "parsing", "foreign"],
      // What a registry:2 is, and the formats that run one.
      distribution: [".", "parsing", "foreign"],
      kubernetes: [".", "parsing", "foreign", "distribution"],
      systemd: [".", "parsing", "foreign", "distribution", "kubernetes"],
      ansible: [".", "parsing", "foreign", "distribution", "kubernetes"],
      // Images that are wanted before anybody pulls them.
      warm: ["parsing"],
      // Of cron and systemd.
      jobs: [".", "parsing", "foreign"],
    },
    above: [
      "load.ts",
      "config-file.ts",
      "access-config.ts",
      "portable-config.ts",
      "import-files.ts",
      "import-formats.ts",
      "settings-diff.ts",
    ],
  },
  "config/distribution": {
    folders: {
      ".": [],
      // What runs a registry, in the terms that all formats of containers share.
      container: ["."],
      compose: [".", "container"],
      "command-line": [".", "container"],
    },
    above: ["import-proxies.ts", "format.ts"],
  },
  telemetry: {
    folders: {
      ".": [],
      // What a pull is made of, for OpenTelemetry.
      tracing: [],
    },
  },
  render: {
    folders: {
      ".": [],
      // Where the cache itself runs, and not its nodes.
      "cache-machine": ["."],
    },
    above: ["targets.ts"],
  },
  store: {
    folders: {
      ".": [],
      memory: ["."],
      // What the disk has room for.
      space: ["."],
      // The data directory as a whole: its lock, its owner, what vanishes from it.
      directory: ["."],
      sidecars: ["."],
      disk: [".", "memory", "space"],
      sql: [".", "memory"],
      repair: [".", "directory", "disk", "sidecars", "sql"],
    },
  },
  upstream: {
    folders: {
      ".": [],
      http1: [],
      // How fast upstreams may send.
      rates: ["http1"],
      // Its program runs http1 in a thread of its own.
      "download-thread": ["http1"],
      transport: [".", "http1", "rates"],
      // What clouds issue to this machine.
      cloud: ["transport"],
      auth: [".", "transport", "cloud"],
      health: ["."],
    },
    above: [
      "registry.ts",
      "blob-requests.ts",
      "blob-transfer.ts",
      "host-url.ts",
      "failover.ts",
      "hop-trace.ts",
      "hosts.ts",
      "list-requests.ts",
      "manifest-requests.ts",
      "probe-host.ts",
      "round-trip.ts",
      "authorized-request.ts",
      "registry-transport.ts",
      "traced-dialer.ts",
    ],
  },
  "upstream/cloud": {
    folders: {
      ".": [],
      aws: ["."],
      google: ["."],
      azure: ["."],
    },
    above: ["issued-credentials.ts"],
  },
  access: {
    folders: {
      // What clients present, and who they are.
      ".": [],
      // What registries let them see.
      verdicts: ["."],
      // What principals may pull.
      rules: ["."],
      // Whom the cache knows itself.
      clients: [".", "rules"],
    },
  },
  cache: {
    folders: {
      ".": [],
      // Bytes from upstreams, for whoever writes them.
      fetch: ["."],
      fill: [".", "fetch"],
      bypass: [".", "fetch", "fill"],
      // Layers that no client has asked for yet.
      siblings: [".", "fetch", "fill"],
      // What is wanted some day, and gives way to all that clients download.
      background: [".", "fetch", "fill"],
      // Which of the digests that a tag has had is served.
      "tag-policy": ["."],
      lookup: [".", "fetch", "fill", "bypass", "siblings", "tag-policy"],
      // What is asked for by digest, and must not be had.
      held: [".", "lookup", "tag-policy"],
      // Who signed an image.
      signatures: [".", "lookup", "tag-policy"],
      // What other replicas ask for.
      sharing: [".", "fetch", "fill", "lookup"],
      retention: ["."],
      // What a cluster runs, and ran lately.
      keeping: [".", "retention"],
      // What operators look at.
      inspection: [".", "lookup", "retention"],
      // What is told to a tracer.
      tracing: [".", "fetch", "fill"],
      adoption: [".", "retention"],
      // For which machines images are pulled.
      platforms: [".", "retention"],
      repair: [".", "retention"],
    },
    above: ["cache.ts", "cache-options.ts"],
  },
  "cache/fetch": {
    folders: {
      ".": [],
      // Parts of a blob, over further connections.
      segments: ["."],
    },
    above: ["division.ts", "fetch-loop.ts"],
  },
  history: {
    folders: {
      ".": [],
      // Who pulls.
      nodes: ["."],
      // What they pull.
      pulls: [".", "nodes"],
    },
    above: ["recorder.ts", "history-report.ts"],
  },
  cluster: {
    folders: {
      // What its rooms tell of themselves: the status and the problems.
      ".": [],
      // Which replicas there are, and which of them a blob belongs to.
      members: ["."],
      // What replicas ask each other.
      replicas: [".", "members"],
      // What replicas tell each other over a database.
      ledger: [],
      // What is in the shared store, as the ledger knows it.
      objects: [],
      // The PostgreSQL itself: how it is reached, and its tables.
      database: ["ledger", "objects"],
      // The ledger in it.
      postgres: ["ledger", "database"],
      // What is done with what they tell.
      facts: ["ledger"],
      // Whole blobs that all replicas share.
      "shared-store": ["."],
      s3: ["shared-store"],
      // What stays in the shared store.
      retention: ["shared-store", "objects"],
    },
    above: [
      "cluster.ts",
      "cluster-ledger.ts",
      "cluster-store.ts",
      "open-shared-store.ts",
      "open-retention.ts",
      "retention-reporter.ts",
      "probe.ts",
      "probe-store.ts",
    ],
  },
  server: {
    folders: {
      pull: [],
      // What the admin API is made of: operations, and what routes and describes them.
      api: [],
      // Who may do what at the admin port: tokens, sessions, the login.
      access: ["api"],
      listen: ["pull"],
      admin: ["api", "access", "listen"],
      // Workers that accept connections, and what they and the main thread tell each other.
      threads: ["pull", "listen"],
    },
  },
  "server/pull": {
    folders: {
      ".": ["admission"],
      // Who is let in, before anything is looked up.
      admission: ["."],
    },
  },
  "server/api": {
    folders: {
      ".": [],
      // Long work that operators start.
      jobs: ["."],
      // One file per resource.
      operations: [".", "jobs"],
    },
  },
  node: {
    folders: {
      files: [],
      ".": ["files"],
      // What is done with a plan: apply, prove, watch, roll back.
      wiring: [".", "files"],
      // A runtime as a process, and as a unit of systemd.
      service: [".", "files"],
      containerd: [".", "files", "service"],
      // They read and write hosts.toml as containerd does.
      docker: [".", "files", "service", "containerd"],
      // CRI-O is called over CRI.
      containers: [".", "files", "service", "containerd"],
      // They start a containerd of their own.
      rancher: [".", "files", "service", "containerd"],
    },
    above: ["runtimes.ts"],
  },
  "node/containerd": {
    folders: {
      ".": [],
      config: ["."],
      hosts: [".", "config"],
      cri: ["."],
      findings: [".", "config", "hosts"],
    },
    above: ["runtime.ts", "inspect.ts", "plan.ts", "control.ts", "images.ts", "connection.ts"],
  },
  commands: {
    folders: {
      ".": [],
      node: ["."],
      ports: ["."],
      // Several replicas on one machine: each is a process that serves.
      "local-cluster": ["."],
      serve: [".", "ports", "local-cluster"],
      // The admin API, as the commands call it.
      api: ["."],
      // Which cache a command is about.
      connection: ["."],
      store: [".", "api", "connection"],
      // Images that are wanted before anybody pulls them.
      wanted: [".", "api", "store"],
      // What tags were, and what operators decide of them.
      tags: [".", "api", "store"],
      // Pulls that only show whether a cache serves.
      trial: [".", "node"],
      events: [".", "store"],
      drill: [".", "api", "store"],
      // Long work of a running cache.
      jobs: [".", "api", "store"],
      setup: [".", "node"],
      // Who may pull, by the configuration alone.
      access: ["."],
      // Completion asks the running cache for values.
      help: [".", "api", "connection", "store"],
    },
    above: ["operator-commands.ts", "commands.ts"],
  },
};
