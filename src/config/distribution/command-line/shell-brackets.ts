const HERE_DOCUMENT = /<<(-?)[ \t]*(["']?)(\w+)\2/y;

/** The position behind the bracket that closes the one at a position, or the end of the text. */
export function endOfBrackets(text: string, start: number): number {
  return text[start] === "{" ? endOfBraces(text, start) : endOfCommands(text, start);
}

function endOfBraces(text: string, start: number): number {
  let depth = 0;
  for (let position = start; position < text.length; position += 1) {
    const char = text[position];
    if (char === "\\") position += 1;
    else if (char === "{") depth += 1;
    else if (char === "}") depth -= 1;
    if (depth === 0) return position + 1;
  }
  return text.length;
}

/** Brackets and apostrophes in quotes, comments and here-documents are not those of the commands. */
function endOfCommands(text: string, start: number): number {
  const open: string[] = [];
  let documents: RegExp[] = [];
  for (let position = start; position < text.length; position += 1) {
    const char = text[position] ?? "";
    if (char === "\\") position += 1;
    else if (open.at(-1) === '"') {
      if (char === '"') open.pop();
      else if (char === "(" && text[position - 1] === "$") open.push(char);
    } else if (char === "'") position = found(text, "'", position + 1);
    else if (char === '"' || char === "(") open.push(char);
    else if (char === ")") open.pop();
    else if (char === "#" && /\s/.test(text[position - 1] ?? "")) {
      position = found(text, "\n", position) - 1;
    } else if (char === "<") {
      HERE_DOCUMENT.lastIndex = position;
      const [all, tabs = "", , end = ""] = HERE_DOCUMENT.exec(text) ?? [];
      if (all === undefined) continue;
      documents.push(new RegExp(`^${tabs && "\\t*"}${end}\\r?$`, "gm"));
      position = HERE_DOCUMENT.lastIndex - 1;
    } else if (char === "\n" && documents.length > 0) {
      for (const end of documents) {
        end.lastIndex = position + 1;
        position = end.test(text) ? end.lastIndex : text.length;
      }
      documents = [];
    }
    if (open.length === 0) return position + 1;
  }
  return text.length;
}

function found(text: string, what: string, start: number): number {
  const position = text.indexOf(what, start);
  return position < 0 ? text.length : position;
}
