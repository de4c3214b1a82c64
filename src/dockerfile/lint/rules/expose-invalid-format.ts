// EXPOSE names ports of the container; where they are reached is said when it is run.
import { type Rule, ruleUrl } from '../rule.ts';
import { expandWordsSafely, linesIn } from '../subject.ts';

export const exposeInvalidFormat: Rule = {
  name: 'ExposeInvalidFormat',
  description: 'EXPOSE names neither an address nor a port of the host',
  url: ruleUrl('ExposeInvalidFormat'),
  bad: 'FROM scratch\nEXPOSE 127.0.0.1:80:8080\n',
  good: 'FROM scratch\nEXPOSE 8080\n',
  *check({ dockerfile, stages }) {
    for (const { instruction, env } of linesIn(stages)) {
      if (instruction.kind !== 'expose') continue;
      for (const item of instruction.items) {
        for (const word of expandWordsSafely(item, env, dockerfile)) {
          if (!/[^:].*:/.test(word)) continue;
          const message = `EXPOSE instruction should not define an IP address or host-port mapping, found '${word}'`;
          yield { message, range: item.range, instruction };
        }
      }
    }
  },
};
