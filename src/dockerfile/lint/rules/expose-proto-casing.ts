// Protocols of EXPOSE are stored in lower case.
import { type Rule, ruleUrl } from '../rule.ts';
import { expandWordsSafely, linesIn } from '../subject.ts';

export const exposeProtoCasing: Rule = {
  name: 'ExposeProtoCasing',
  description: 'The protocol of an EXPOSE is written in lower case',
  url: ruleUrl('ExposeProtoCasing'),
  bad: 'FROM scratch\nEXPOSE 80/TCP\n',
  good: 'FROM scratch\nEXPOSE 80/tcp\n',
  *check({ dockerfile, stages }) {
    for (const { instruction, env } of linesIn(stages)) {
      if (instruction.kind !== 'expose') continue;
      for (const item of instruction.items) {
        for (const word of expandWordsSafely(item, env, dockerfile)) {
          const protocol = word.slice(word.indexOf('/') + 1);
          if (!word.includes('/') || protocol === protocol.toLowerCase()) continue;
          const message = `Defined protocol '${word}' in EXPOSE instruction should be lowercase`;
          yield { message, range: item.range, instruction };
        }
      }
    }
  },
};
