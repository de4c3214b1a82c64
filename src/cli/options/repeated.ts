// A flag that may be given several times.
import { Option } from 'commander';

const list = (value: string, earlier: readonly string[]) => [...earlier, value];

/** Its value is a list, empty when the flag is not given. */
export function repeated(flags: string, description: string): Option {
  return new Option(flags, description).argParser(list).default([], 'none');
}
