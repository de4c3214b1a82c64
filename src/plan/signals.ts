// Names that STOPSIGNAL accepts, as github.com/moby/sys/signal has them for Linux.

import { didYouMean } from '../dockerfile/suggest.ts';
import { printable, type SourceRange } from '../errors.ts';
import { invalid } from './problems.ts';

const names = new Set([
  ...'ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS'.split(
    ' ',
  ),
  ...'TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX'.split(' '),
  ...Array.from({ length: 15 }, (_, i) => `RTMIN+${i + 1}`),
  ...Array.from({ length: 14 }, (_, i) => `RTMAX-${i + 1}`),
]);

/** @throws BuildError `dockerfile` unless `text` is a number other than 0 or a signal's name, with or without SIG */
export function checkSignal(text: string, range: SourceRange): void {
  if (/^[+-]?\d{1,18}$/.test(text) && Number(text) !== 0) return;
  const bare = text.toUpperCase().replace(/^SIG/, '');
  if (names.has(bare)) return;
  const hint =
    didYouMean(
      text.toUpperCase(),
      [...names].map(name => `SIG${name}`),
    ) ?? 'for example SIGTERM or 15';
  throw invalid(`"${printable(text)}" is no signal`, range, { hint });
}
