import { expect, test } from "bun:test";
import { importGiven } from "../configtest/import-text.ts";

/** The entry of the upstream of a `docker run` command, and the warnings. */
function imported(options: string, remote = "https://ghcr.io"): [unknown, string[]] {
  const script = `docker run -p 5010:5000 ${options} -e REGISTRY_PROXY_REMOTEURL=${remote} registry:2\n`;
  const { value, warnings } = importGiven({ "start.sh": script });
  const [entry]: unknown[] = Object.values(Object(value["upstreams"]));
  return [entry, warnings.map(({ message }) => message)];
}

const PROXY = "http://proxy.corp:3128";

test.each([
  [`-e HTTPS_PROXY=${PROXY}`, { proxy: PROXY }],
  [`-e https_proxy=proxy.corp:3128`, { proxy: PROXY }],
  [`-e HTTPS_PROXY=http://u:p@proxy.corp:3128`, { proxy: "http://u:p@proxy.corp:3128" }],
  [`-e HTTPS_PROXY=https://proxy.corp`, { proxy: "https://proxy.corp" }],
  [`-e HTTP_PROXY=${PROXY}`, {}],
  [`-e HTTPS_PROXY=`, {}],
  [`-e HTTPS_PROXY=${PROXY} -e NO_PROXY=localhost,.corp`, { proxy: PROXY }],
  [`-e HTTPS_PROXY=${PROXY} -e no_proxy=ghcr.io`, { proxy: "none" }],
  [`-e HTTPS_PROXY=${PROXY} -e NO_PROXY='*'`, { proxy: "none" }],
  [`-e HTTPS_PROXY=http://a:1 -e https_proxy=http://b:1`, { proxy: "http://a:1" }],
  [`-e ALL_PROXY=${PROXY}`, {}],
])("the proxy of %s is carried over", (options, expected) => {
  expect(imported(options)).toEqual([{ listen: "0.0.0.0:5010", ...expected }, []]);
});

test("a registry over plain HTTP uses HTTP_PROXY", () => {
  const options = `-e HTTP_PROXY=${PROXY} -e HTTPS_PROXY=http://other:1`;
  expect(imported(options, "http://reg.example")[0]).toMatchObject({ proxy: PROXY });
});

test.each([
  ["-e HTTPS_PROXY", "its value is not known: set proxy of ghcr.io, or none"],
  ['-e "HTTPS_PROXY=$P"', "its value is not known: set proxy of ghcr.io, or none"],
  [
    "-e HTTPS_PROXY=socks5://p:1",
    "only http and https proxies are supported: set proxy of ghcr.io",
  ],
  ["-v certs:/etc/ssl/certs", "they are not on this machine: put them into one PEM file"],
  [
    "-v /srv/ca:/usr/local/share/ca-certificates",
    "they are in /srv/ca: put them into one PEM file",
  ],
  ["-v /srv/ca:/ca -e SSL_CERT_DIR=/ca", "they are in /srv/ca: put them into one PEM file"],
  ["-e SSL_CERT_FILE=/in/the/image.pem", "they are not on this machine"],
  ["--add-host ghcr.io:10.0.0.5", "add `10.0.0.5 ghcr.io` to /etc/hosts of the cache's machine"],
  ["--add-host=auth.corp:host-gateway", "add `127.0.0.1 auth.corp` to /etc/hosts"],
])("what has no equivalent is a warning: %s", (options, message) => {
  const [, warnings] = imported(options);
  expect(warnings).toEqual([expect.stringContaining(message)]);
});

test.each([
  "-v /srv/ca.crt:/etc/ssl/certs/corp.crt:ro",
  "-v /srv/ca.crt:/etc/ssl/certs/ca-certificates.crt",
  "-v /srv/ca.crt:/usr/local/share/ca-certificates/corp.crt",
  "-v /srv/ca.crt:/ca.pem -e SSL_CERT_FILE=/ca.pem",
  "-v /srv:/ca -e SSL_CERT_FILE=/ca/ca.crt",
  "-v /srv/ca.crt:/etc/ssl/certs/x.pem -e SSL_CERT_FILE=/etc/ssl/certs/x.pem",
])("the CA file of %s is carried over", (options) => {
  expect(imported(options)).toEqual([{ listen: "0.0.0.0:5010", ca: "/srv/ca.crt" }, []]);
});

test("of a mounted directory of CA certificates, the bundle is imported", () => {
  const [entry, warnings] = imported("-v /etc/ssl/certs:/etc/ssl/certs:ro");
  expect(entry).toMatchObject({ ca: "/etc/ssl/certs/ca-certificates.crt" });
  expect(warnings).toEqual([]);
});

test("of two CA files the first is imported, and the second is a warning", () => {
  const mounts = "-v /a/1.crt:/etc/ssl/certs/1.crt -v /a/2.crt:/etc/ssl/certs/2.crt";
  const [entry, warnings] = imported(mounts);
  expect(entry).toMatchObject({ ca: "/a/1.crt" });
  expect(warnings).toEqual([expect.stringContaining("put 1.crt and 2.crt into one")]);
});

test("a name server matters for a registry that may be known only there", () => {
  expect(imported("--dns 10.0.0.2")[1]).toEqual([]);
  const [, warnings] = imported("--dns 10.0.0.2", "https://harbor.corp.example");
  expect(warnings).toEqual([expect.stringContaining("asks the name server 10.0.0.2")]);
});

test("a host of a container's network is a warning, and one in a private network is allowed", () => {
  const [entry, warnings] = imported("", "http://harbor:8080");
  expect(entry).toMatchObject({ url: "http://harbor:8080", allowPrivate: true });
  expect(warnings).toEqual([expect.stringContaining("harbor may be a name inside of")]);
  for (const host of ["harbor.registry.svc", "host.docker.internal:8080"]) {
    const [, inner] = imported("", `http://${host}`);
    expect(inner).toContainEqual(expect.stringContaining("may be a name inside of the containers"));
  }
  expect(imported("--add-host ghcr.io:10.0.0.5")[0]).toMatchObject({ allowPrivate: true });
});
