import { expect, test } from "bun:test";
import { mark } from "../distribution/container/unresolved.ts";
import { Templates } from "./templates.ts";

const SCOPE = new Map<string, unknown>([
  ["item", { name: "hub", port: "5000", "a-b": "x" }],
  ["hosts", ["a", "b"]],
  ["url", "https://{{ host }}"],
  ["host", "ghcr.io"],
  ["loop_a", "{{ loop_b }}"],
  ["loop_b", "{{ loop_a }}"],
  ["table", { hub: { port: "5000" } }],
]);

test.each<[template: string, value: unknown]>([
  ["plain", "plain"],
  ["{{ item.name }}-{{ item['port'] }}", "hub-5000"],
  ["{{ item['a-b'] }}", "x"],
  ["{{ hosts }}", ["a", "b"]],
  ["{{ hosts.0 }}{{ hosts[1] }}", "ab"],
  ["{{ url }}/v2", "https://ghcr.io/v2"],
  ["{{ none | default('x') }}", "x"],
  ["{{ none.a['b'] | d(host) | upper }}", "GHCR.IO"],
  ["{{ 'https://' ~ host }}", "https://ghcr.io"],
  ["{{ ('a' + host) | replace('.', '-') }}", "aghcr-io"],
  ["{{ item.port | int }}", "5000"],
  ["{{ hosts | join(',') }}{# a comment #}", "a,b"],
  ["{{ table | dict2items }}", [{ key: "hub", value: { port: "5000" } }]],
  ["{{ ['x', host] }}", ["x", "ghcr.io"]],
  ["$(id) `id` {id}", "$(id) `id` {id}"],
])("%s is replaced by constants", (template, value) => {
  expect(new Templates().render(template, SCOPE)).toEqual(value);
});

test.each([
  "{{ none }}",
  "{{ item.none }}",
  "{{ item.__proto__ }}",
  "{{ item.constructor }}",
  "{{ lookup('env', 'HOME') }}",
  "{{ host.split('.') }}",
  "{{ 1 if host else 2 }}",
  "{{ hosts | random }}",
  "{{ loop_a }}",
  "{{ }}",
])("%s has no known value", (template) => {
  expect(new Templates().render(template, SCOPE)).toBe(mark(template));
});

test.each(["{{ host", "{{ host }", "a {% b", "}} {{"])("%s is no template", (text) => {
  expect(new Templates().render(text, SCOPE)).toBe(text);
});

test("a template in a larger text is marked where it stands", () => {
  expect(new Templates().render("a {{ none }} {% if x %}b{% endif %}", SCOPE)).toBe(
    `a ${mark("{{ none }}")} ${mark("{% if x %}")}b${mark("{% endif %}")}`,
  );
});

test("variables that double at each level end", () => {
  const levels = Array.from({ length: 60 }, (_, level): [string, string] => [
    `v${level}`,
    `{{ v${level + 1} }}{{ v${level + 1} }}`,
  ]);
  const scope = new Map<string, unknown>([...levels, ["v60", "x"]]);
  const rendered = new Templates().render("{{ v0 }}", scope);
  expect(String(rendered).length).toBeLessThan(1_000_000);
});
