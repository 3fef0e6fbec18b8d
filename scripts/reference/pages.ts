import { commandsPage } from "./commands.ts";
import { configurationPage, configurationSchema } from "./configuration.ts";

/** The generated pages, formatted with `bun fmt`, by their path relative to the checkout's root. */
export async function referencePages(): Promise<Readonly<Record<string, string>>> {
  const schema = `${JSON.stringify(configurationSchema(), null, 2)}\n`;
  const pages: Readonly<Record<string, string>> = {
    "docs/reference/commands.md": await commandsPage(),
    "docs/reference/configuration.md": configurationPage(),
    "docs/reference/entrepot.schema.json": schema,
  };
  return Object.fromEntries(
    Object.entries(pages).map(([name, text]) => [name, formatted(name, text)]),
  );
}

function formatted(name: string, text: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [process.execPath, "fmt", "--no-script", `--stdin-filepath=${name}`],
    { stdin: Buffer.from(text), stdout: "pipe", stderr: "pipe" },
  );
  if (exitCode !== 0) throw new Error(`bun fmt cannot format ${name}: ${stderr.toString()}`);
  return stdout.toString();
}
