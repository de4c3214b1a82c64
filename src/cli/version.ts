// The version in package.json, which is beside the program wherever it is installed.
import { readFileSync } from 'node:fs';

function read(): string {
  for (const place of ['../../package.json', '../../../package.json', '../../../../package.json']) {
    try {
      const json = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8'));
      if (json.name === 'slipway') return json.version;
    } catch {
      // Not this one: source, test build and bundle lie at different depths.
    }
  }
  return 'unknown';
}

export const version: string = read();
