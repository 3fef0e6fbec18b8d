import { z } from "zod";

/** Text of which a parser makes a type that only it can make. */
export function parsedText<Value>(parse: (text: string) => Value | undefined) {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({
      code: "custom",
      message: `${JSON.stringify(text.slice(0, 100))} is not valid`,
    });
    return z.NEVER;
  });
}
