// A specification in YAML, which is how vendors write most of them (nvidia-ctk does unless told otherwise).
import { printable } from '../../errors.ts';
import { Fault } from './specification.ts';

/** @throws Fault */
export async function parseYaml(text: string): Promise<unknown> {
  const { parse } = await import('yaml');
  try {
    // The reference reads version 1.1, where 0666 is an octal number.
    return parse(text, { version: '1.1', logLevel: 'error', prettyErrors: false });
  } catch (error) {
    const [line = ''] = String((error as Error).message).split('\n');
    throw new Fault(`it is no YAML (${printable(line).slice(0, 200)})`);
  }
}
