import type { JSX } from "preact";
import { Panel } from "../parts/panel.tsx";

const COMMANDS = [
  { runtime: "containerd, CRI-O (CRI)", command: (name: string) => `crictl pull ${name}` },
  {
    runtime: "containerd",
    command: (name: string) =>
      `ctr --namespace k8s.io images pull --hosts-dir /etc/containerd/certs.d ${name}`,
  },
  { runtime: "nerdctl", command: (name: string) => `nerdctl pull ${name}` },
  { runtime: "Docker", command: (name: string) => `docker pull ${name}` },
  { runtime: "Podman", command: (name: string) => `podman pull ${name}` },
] as const;

/** How a wired node pulls an image through the cache. */
export function PullCommands({ name }: { readonly name: string }): JSX.Element {
  return (
    <Panel id="pull-commands" title="Pull it" aside="on a wired node">
      <dl class="commands">
        {COMMANDS.map(({ runtime, command }) => (
          <div key={runtime}>
            <dt>{runtime}</dt>
            <dd>
              <code>
                {command(name)
                  .split(" ")
                  .flatMap((word, index) => [index === 0 ? "" : " ", <span>{word}</span>])}
              </code>
            </dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}
