// The last lines that a command wrote, to be repeated under its error.

const maxLines = 20;
const maxBytes = 16 * 1024;

export class OutputTail {
  #bytes = Buffer.alloc(0);

  add(chunk: Uint8Array): void {
    const all = Buffer.concat([this.#bytes, chunk]);
    this.#bytes = all.length > maxBytes ? all.subarray(all.length - maxBytes) : all;
  }

  /** Up to 20 lines, without trailing empty ones. */
  lines(): string[] {
    const lines = this.#bytes
      .toString('utf8')
      .split('\n')
      .map(line => line.replace(/\r+$/, ''))
      .map(line => line.slice(line.lastIndexOf('\r') + 1));
    while (lines.at(-1) === '') lines.pop();
    return lines.slice(-maxLines);
  }
}
