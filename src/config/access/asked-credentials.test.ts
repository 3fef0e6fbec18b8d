import { expect, test } from "bun:test";
import { askedCredentialsNotes, type CredentialUse } from "./asked-credentials.ts";

const notes = (use: CredentialUse, cache: string, title = "It"): string[] =>
  askedCredentialsNotes({ registries: ["ghcr.io", "quay.io"], cache: new URL(cache), title, use });

test.each([
  [
    "containerd",
    "pull-secret",
    "containerd gives it the imagePullSecret of the pod, and pulls from the registry itself if there is none or it is refused.",
  ],
  [
    "CRI-O",
    "none",
    "CRI-O keeps the imagePullSecret of the pod from mirrors, and pulls private images from the registry itself.",
  ],
  [
    "BuildKit",
    "login",
    "BuildKit gives it the credentials that are stored for cache:5000, after a login at cache:5000.",
  ],
  [
    "Podman",
    "login-or-registry",
    "Podman keeps the registry's credentials from mirrors, and pulls private images from the registry itself, or through the cache after a login at cache:5000.",
  ],
  [
    "Docker",
    "docker",
    "Docker pulls private images through it by its own name (cache:5000/REGISTRY/IMAGE), after a login at cache:5000; as a mirror, it is given the login at Docker Hub by the classic image store alone.",
  ],
] as const)("what %s does is said in a line", (title, use, line) => {
  expect(notes(use, "https://cache:5000", title)).toEqual([
    `The cache asks for credentials for ghcr.io, quay.io: ${line}`,
  ]);
});

test.each([
  ["http://cache:5000", true],
  ["http://192.168.1.10:5000", true],
  ["http://[fd00::1]:5000", true],
  // A name that begins like the address of this machine.
  ["http://127.evil.test:5000", true],
  ["http://127.0.0.1:5000", false],
  ["http://127.1.2.3:5000", false],
  ["http://[::1]:5000", false],
  ["http://localhost:5000", false],
  ["https://cache:5000", false],
])("credentials for %s are warned about: %p", (cache, isWarned) => {
  const [, warning] = notes("pull-secret", cache);
  expect(warning !== undefined).toBe(isWarned);
  if (isWarned) expect(warning).toStartWith("WARNING: ");
  // A client that gives none has nothing to lose.
  expect(notes("none", cache)).toHaveLength(1);
});

test("nothing is said where nothing is asked", () => {
  const cache = new URL("http://cache:5000");
  expect(askedCredentialsNotes({ registries: [], cache, title: "It", use: "none" })).toEqual([]);
});
