/**
 * Gives the memory of bytes back at once, which nobody may use any more. The garbage collector lets many of them
 * pile up first: they are outside of its heap. A view of a part of a buffer frees nothing.
 */
export function freeBytes({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
