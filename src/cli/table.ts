// Columns as docker prints them: at least ten wide, three spaces apart, the last one not padded.
import { widthOf } from './width.ts';

const minWidth = 10;
const gap = 3;

export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.slice(0, -1).entries())
      widths[i] = Math.max(widths[i] ?? minWidth, widthOf(cell) + gap);
  }
  const pad = (cell: string, i: number) => cell + ' '.repeat((widths[i] ?? 0) - widthOf(cell));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === row.length - 1 ? cell : pad(cell, i))).join('');
  return rows.map(row => `${line(row)}\n`).join('');
}
