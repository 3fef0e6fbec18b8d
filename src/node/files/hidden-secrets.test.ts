import { expect, test } from "bun:test";
import { hideSecrets, hideUserinfo } from "./hidden-secrets.ts";

const S = "s3cret";

const texts: [name: string, text: string][] = [
  ["a password", `[auth]\nusername = "u"\npassword = "${S}"\n`],
  ["a literal string", `  auth = '${S}' # base64\n`],
  ["a quoted key", `"identitytoken" = "${S}"`],
  ["another case", `Password = "${S}"`],
  ["a multi-line string", `password = """\n${S}\n${S}"""\nnext = 1\n`],
  ["an inline table", `configs."r".auth = { username = "u", password = "${S}" }\n`],
  ["an inline table of another key", `"r" = { auth = { username = "u", password = "${S}" } }\n`],
  ["a header", `[host."http://m".header]\n  authorization = "Basic ${S}"\n`],
  ["any header", `[host."http://m".header]\n  X-Token = ["${S}", "${S}"]\n[host."http://n"]\n`],
  ["a header of the server", `[header]\r\n  "x" = "${S}"\r\n`],
  ["a header over several lines", `[header]\nx = [\n  "a]",\n  "${S}", # ]\n]\nserver = 1\n`],
  ["a dotted header", `[host."http://m"]\n  header.x-key = "${S}"\n`],
  ["inline headers", `[host."http://m"]\n  header = { a = "b}", x = "${S}" }\n`],
  ["headers of an inline host", `[host]\n"http://m" = { header = { x = "${S}" } }\n`],
  ["headers in another case", `[Host."http://m".Header]\n  x = "${S}"\n`],
  [
    "headers of CRI",
    `[plugins."io.containerd.grpc.v1.cri".registry.headers]\n  X-Meta = ["${S}"]\n`,
  ],
  ["a password in YAML", `  auth:\n    username: u\n    password: ${S} # mine\n`],
  ["a token in YAML", `    "token": ${S}\n`],
  ["a flow mapping", `  "r": {auth: {username: u, password: ${S}}}\n`],
  ["a damaged header", `[header]\n  authorization "${S}\n`],
  ["a damaged file that became comments", `# [host."http://m".header]\n#   x = "${S}"\n#\n`],
  ["a commented password", `# password = "${S}"\n`],
  ["an identity token in YAML", `    identity_token: ${S}\n`],
  ["a key in capitals", `    Password: ${S}\n`],
  ["a blank before the colon", `    password : ${S}\n`],
  ["a block scalar", `auth:\n  password: |\n    ${S}\n\n    ${S}\n  username: u\n`],
  ["a value in the next line", `auth:\n  password:\n    ${S}\n  username: u\n`],
  ["a value below auth", `auth: # mine\n  ${S}\n`],
  ["an anchored value in the next line", `auth: &a\n  ${S}\n`],
  ["a folded string in quotes", `  password: "${S}\n    ${S}"\n  username: u\n`],
  ["a plain string over two lines", `  password: a\n    ${S}\n`],
  ["an explicit key", `? password\n: ${S}\n`],
  ["a password in a list", `- password: ${S}\n`],
  ["headers in YAML", `header:\n  X-Key: ${S}\nnext: 1\n`],
  ["headers of a flow mapping", `a: {header: {X-Key: ${S}}, b: 1}\n`],
  ["an escaped key", `  "pass\\u0077ord": "${S}",\n`],
  ["a token of a log driver", `{"log-opts": {"splunk-token": "${S}", "max-size": "1"}}\n`],
  ["a token of a log driver, on a line of its own", `    "splunk-token": "${S}",\n`],
  ["a list in JSON", `{"secrets": [\n  "${S}"\n]}\n`],
  ["a list of secrets on a line of its own", `  "secrets": [\n    "${S}"\n  ],\n`],
  ["a proxy that is not HTTP", `"https-proxy": "socks5://u:${S}@p"\n`],
  ["credentials of an endpoint", `endpoint = ["https://u:${S}@m/v2", "http://${S}@n"]\n`],
];

test.each(texts)("hides %s", (_, text) => {
  const hidden = hideSecrets(text);
  expect(hidden).not.toContain(S);
  expect(hidden).toContain("(hidden)");
  expect(hidden.split("\n").length).toBe(text.split("\n").length);
});

test("shows what stands beside a secret", () => {
  const shown = hideSecrets(
    `configs:\n  "r":\n    auth:\n      username: u\n      password: ${S}\n    tls:\n      ca_file: /c\n`,
  );
  expect(shown).toBe(
    `configs:\n  "r":\n    auth:\n      username: u\n      password: "(hidden)"\n    tls:\n      ca_file: /c\n`,
  );
  expect(hideSecrets(`{"a": {"token": "${S}", "b": ["c"]}, "d": "https://m/token=x"}`)).toBe(
    `{"a": {"token": "(hidden)", "b": ["c"]}, "d": "https://m/token=x"}`,
  );
});

test("shows everything else, byte for byte", () => {
  const text = `# mine: no password here\r\nserver = "https://r"\n\n[host."https://m"]\n\tcapabilities = ["pull", "resolve"] # authority\n  client = [["/c", "/k"]]\n[host."https://m".header]\n[host."https://n"]\n  ca = "/x@y.pem"\n`;
  expect(hideSecrets(text)).toBe(text);
  expect(hideUserinfo("https://m/a@b and http://u:p@m/a@b")).toBe(
    "https://m/a@b and http://(hidden)@m/a@b",
  );
});
