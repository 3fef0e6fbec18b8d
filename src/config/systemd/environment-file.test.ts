import { expect, test } from "bun:test";
import { parseEnvironmentFile } from "./environment-file.ts";

test("an EnvironmentFile is read as systemd.exec(5) describes it", () => {
  const text = `# comment
; comment
A=1
  B = two words \t
C="x \\"y\\" \\z $(id)" 'and more'
D='a\\b'\r
E=first \\
second
F="over
lines"
export G=\\ g\\
not a variable
9H=1
I=
J=end`;
  expect(parseEnvironmentFile(text)).toEqual([
    { name: "A", value: "1", line: 3 },
    { name: "B", value: "two words", line: 4 },
    { name: "C", value: String.raw`x "y" \z $(id) and more`, line: 5 },
    { name: "D", value: String.raw`a\b`, line: 6 },
    { name: "E", value: "first second", line: 7 },
    { name: "F", value: "over\nlines", line: 9 },
    { name: "G", value: " gnot a variable", line: 11 },
    { name: "I", value: "", line: 14 },
    { name: "J", value: "end", line: 15 },
  ]);
});
