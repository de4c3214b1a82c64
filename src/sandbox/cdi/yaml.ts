// A specification in YAML, which is how vendors write most of them (nvidia-ctk does unless told otherwise).
import type { CST } from 'yaml';
import { printable } from '../../errors.ts';
import { Fault } from './specification.ts';

/** The reader calls itself for each level, and compares each key of a map with all others. */
const DEEPEST = 100;
const WIDEST = 10_000;

/** @throws Fault */
export async function parseYaml(text: string): Promise<unknown> {
  const { parse, Parser } = await import('yaml');
  try {
    for (const token of new Parser().parse(text)) checkShape(token);
    // The reference reads version 1.1, where 0666 is an octal number.
    return parse(text, { version: '1.1', logLevel: 'error', prettyErrors: false });
  } catch (error) {
    const [line = ''] = String((error as Error).message).split('\n');
    throw new Fault(`it is no YAML (${printable(line).slice(0, 200)})`);
  }
}

function checkShape(document: CST.Token): void {
  const waiting = [{ token: document, depth: 0 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { token, depth } = next;
    if (depth > DEEPEST) throw new Fault(`it has more than ${DEEPEST} levels`);
    if (token.type === 'document' && token.value) waiting.push({ token: token.value, depth });
    if (!('items' in token)) continue;
    if (token.items.length > WIDEST && token.type !== 'block-seq') {
      throw new Fault(`a list or map in it has more than ${WIDEST} entries`);
    }
    for (const { key, value } of token.items) {
      for (const each of [key, value]) if (each) waiting.push({ token: each, depth: depth + 1 });
    }
  }
}
