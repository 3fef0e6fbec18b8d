import { illegalInstruction } from "./service.ts";
import { header, type Target } from "./target.ts";

/** deploy/compose.yaml holds the same text. */
export function composeText(): string {
  return `services:
  entrepot:
    image: entrepot:latest
    restart: unless-stopped
    command: [serve]
    # For \`docker compose exec entrepot entrepot status\` and the health check, too.
    environment:
      ENTREPOT_CONFIG: /etc/entrepot/entrepot.yaml
    user: "65532:65532"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    ports:
      - "5000:5000"
    volumes:
      - ./entrepot.yaml:/etc/entrepot/entrepot.yaml:ro
      - data:/var/lib/entrepot
    ulimits:
      nofile: 65536
    # Entrepot waits up to 15 s for requests in flight before it exits.
    stop_grace_period: 30s
    healthcheck:
      test: [CMD, /usr/local/bin/entrepot, health]
      interval: 30s
      timeout: 10s
      retries: 3
volumes:
  data:
`;
}

export const compose: Target = {
  name: "compose",
  isCacheItself: true,
  title: "the cache with Docker Compose or podman-compose",
  notes: {
    where: "compose.yaml in its own directory, with entrepot.yaml next to it",
    apply: "`docker compose up -d`; after a change to entrepot.yaml, `docker compose restart`",
    caveats: [
      "`npm run image` builds the image. Load it with `docker load -i dist/entrepot-image-linux-amd64.tar` (or arm64).",
      'Add the port of every upstream that has a `port` to `ports`. A `listen` at 127.0.0.1 is one inside the container: write 0.0.0.0 there, and the address of the host in `ports`, such as "127.0.0.1:5010:5010".',
      "entrepot.yaml and the files that it references must be readable by user 65532. `entrepot import` makes its output readable by its owner only: run `chown 65532 entrepot.yaml`.",
      illegalInstruction("If the container ends with exit code 132"),
      "A bind mount used instead of the volume must be owned by user 65532.",
    ],
  },
  render: (_, notes) => [{ path: "compose.yaml", text: `${header(notes)}\n${composeText()}` }],
};
