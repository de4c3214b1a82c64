// One line of comma-separated values, as `--mount` and `--device` are written: a field in double quotes may hold
// commas, and a doubled quote stands for one.

export interface CsvField {
  readonly value: string;
  /** Offsets in the line, quotes included. */
  readonly start: number;
  readonly end: number;
}

/** The fields of `line`, or what is wrong with it. */
export function csvFields(line: string): CsvField[] | { readonly problem: string } {
  const fields: CsvField[] = [];
  let at = 0;
  for (;;) {
    const start = at;
    let value = '';
    if (line[at] === '"') {
      const quoted = readQuoted(line, at);
      if (quoted === undefined) return { problem: 'a double quote is not closed or has text behind it' };
      ({ value, end: at } = quoted);
    } else {
      const comma = line.indexOf(',', at);
      at = comma === -1 ? line.length : comma;
      value = line.slice(start, at);
      if (value.includes('"'))
        return { problem: 'a double quote stands inside a field: put it around the whole field' };
    }
    fields.push({ value, start, end: at });
    if (at >= line.length) return fields;
    at++;
  }
}

function readQuoted(line: string, start: number): { value: string; end: number } | undefined {
  let value = '';
  for (let at = start + 1; ; ) {
    const quote = line.indexOf('"', at);
    if (quote === -1) return undefined;
    value += line.slice(at, quote);
    at = quote + 1;
    const next = line[at];
    if (next === undefined || next === ',') return { value, end: at };
    if (next !== '"') return undefined;
    value += '"';
    at++;
  }
}
