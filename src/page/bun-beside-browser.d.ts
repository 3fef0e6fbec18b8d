// The types of Preact bring those of browsers with them. They know some classes, and not what Bun adds to them.

interface Worker {
  ref(): void;
  unref(): void;
}

// oxlint-disable-next-line no-explicit-any -- as it is declared elsewhere, or the declarations do not merge
interface ReadableStream<R = any> {
  text(): Promise<string>;
}
