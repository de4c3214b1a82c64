// Lists as docker prints them: a table, or what --format says (https://docs.docker.com/engine/cli/formatting/).
import { BuildError, printable } from '../errors.ts';
import { table } from './table.ts';
import { compileTemplate, type Value } from './template/run.ts';

export interface Listing {
  /** Fields that a format may use, with the head of their column. */
  readonly heads: Readonly<Record<string, string>>;
  /** Fields of the table without a format. */
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, string>>[];
  /** By field: texts of the table that JSON has others for. */
  readonly inJson?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/**
 * @param format `table`, `table TEMPLATE`, `json`, a template for each row, or undefined for the usual table
 * @throws BuildError `usage`
 */
export function renderListing(listing: Listing, format: string | undefined): string {
  if (format === undefined || format === '' || format === 'table') {
    return table([listing.columns.map(name => listing.heads[name] ?? ''), ...cells(listing)]);
  }
  if (format === 'json' || /^\{\{\s*json\s+\.\s*\}\}$/.test(format))
    return listing.rows.map(row => `${jsonRow(row, listing.inJson)}\n`).join('');
  const isTable = format.startsWith('table');
  const template = compileTemplate(unescaped(isTable ? format.slice(5).trim() : format));
  const lines = listing.rows.map(row => template(rowValue(row)));
  if (!isTable) return lines.map(line => `${line}\n`).join('');
  return table([template({ ...listing.heads }), ...lines].map(line => line.split('\t')));
}

function cells({ columns, rows }: Listing): string[][] {
  return rows.map(row => columns.map(name => row[name] ?? ''));
}

/** A row as a value that the function `json` prints like docker. */
function rowValue(row: Readonly<Record<string, string>>): Value {
  return Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Go writes these characters so inside of JSON texts. */
function jsonRow(row: Readonly<Record<string, string>>, inJson: Listing['inJson'] = {}): string {
  const sorted = Object.fromEntries(
    Object.entries(row)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([field, text]) => [field, inJson[field]?.[text] ?? text]),
  );
  return JSON.stringify(sorted).replace(
    /[<>&]/g,
    c => `\\u00${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function unescaped(template: string): string {
  return template.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
}

/** For commands whose --format is json or nothing. @throws BuildError `usage` */
export function requireJson(format: string | undefined): void {
  if (format === undefined || format === 'json') return;
  throw new BuildError('usage', `the format "${printable(format)}" is not known here`, {
    hint: 'json is',
  });
}
