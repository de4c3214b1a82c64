// Scripts write docker's flags as Go reads them: --no-cache=true, --rm=false, -t=name. Commander knows neither a value of a
// flag without argument nor "=" behind a short one, and takes the context of `build --pull .` for a policy: all of it is
// brought into its form.
import type { Command, Option } from 'commander';
import { BuildError, printable } from '../errors.ts';

/**
 * @param argv without program and script
 * @returns the same command line, in words that commander understands
 * @throws BuildError `usage` when a flag that is on or off is given another value
 */
export function withoutGoForms(argv: readonly string[], program: Command): string[] {
  const words: string[] = [];
  let command = program;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? '';
    if (word === '--') return [...words, ...argv.slice(i)];
    if (!word.startsWith('-') || word === '-') {
      command = command.commands.find(each => isCalled(each, word)) ?? command;
      words.push(word);
      continue;
    }
    const found = word.startsWith('--') ? longForm(word, command) : shortForm(word, command);
    if (found.off !== undefined) remove(words, found.off);
    words.push(...found.words);
    const next = argv[i + 1];
    if (found.takesNext && next !== undefined) {
      words.push(next);
      i++;
    }
  }
  return words;
}

interface Form {
  readonly words: readonly string[];
  /** The word after it is its value. */
  readonly takesNext?: boolean;
  /** What was said to be off: an earlier one does not count. */
  readonly off?: Option;
}

function longForm(word: string, command: Command): Form {
  const at = word.indexOf('=');
  const option = optionOf(command, at < 0 ? word : word.slice(0, at));
  if (option === undefined) return { words: [word] };
  if (at < 0) return plain(option, word);
  return isSwitch(option) ? switched(option, word.slice(at + 1)) : { words: [word] };
}

/** `-t=name`, `-q=true`, and several letters of which the last has a value: `-qt=name`. */
function shortForm(word: string, command: Command): Form {
  const before: string[] = [];
  for (let i = 1; i < word.length; i++) {
    const letter = `-${word[i]}`;
    const option = optionOf(command, letter);
    if (option === undefined) return { words: [...before, `-${word.slice(i)}`] };
    const rest = word.slice(i + 1);
    const value = rest.startsWith('=') ? rest.slice(1) : undefined;
    if (option.required) {
      if (rest === '') return { words: [...before, letter], takesNext: true };
      return { words: [...before, ...(value === undefined ? [letter + rest] : [letter, value])] };
    }
    if (value !== undefined) {
      const { words, ...more } = isSwitch(option) ? switched(option, value) : given(option, value);
      return { ...more, words: [...before, ...words] };
    }
    before.push(...plain(option, letter).words);
  }
  return { words: before };
}

/** A flag without "=". In Go one whose value may be left away never takes the next word: `build --pull .` */
function plain(option: Option, word: string): Form {
  // Commander takes `<name[:tag]>` for both.
  return option.required || !option.optional
    ? { words: [word], takesNext: option.required }
    : given(option, 'true');
}

function given(option: Option, value: string): Form {
  return { words: [`${option.long ?? option.flags}=${value}`] };
}

function switched(option: Option, value: string): Form {
  const name = option.long ?? option.flags;
  if (/^(?:1|t|true)$/i.test(value)) return { words: [name] };
  if (/^(?:0|f|false)$/i.test(value)) return { words: [], off: option };
  throw new BuildError('usage', `${name}=${printable(value)} is neither true nor false`);
}

function remove(words: string[], option: Option): void {
  for (const name of [option.long, option.short]) {
    for (let at = words.indexOf(name ?? ''); at >= 0; at = words.indexOf(name ?? '')) words.splice(at, 1);
  }
}

function isSwitch(option: Option): boolean {
  return !option.required && !option.optional;
}

function isCalled(command: Command, name: string): boolean {
  return command.name() === name || command.aliases().includes(name);
}

/** Of the command or, where it has none of that name, of those above it. */
function optionOf(command: Command | null, name: string): Option | undefined {
  if (command === null) return undefined;
  const own = command.options.find(option => option.long === name || option.short === name);
  return own ?? optionOf(command.parent, name);
}
