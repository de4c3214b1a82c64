// A shell between the engine and the program keeps signals from it.
import { type Rule, ruleUrl } from '../rule.ts';
import { linesIn } from '../subject.ts';

export const jsonArgsRecommended: Rule = {
  name: 'JSONArgsRecommended',
  description: 'CMD and ENTRYPOINT in their JSON form, so that signals reach the program',
  url: ruleUrl('JSONArgsRecommended'),
  bad: 'FROM scratch\nCMD /app --serve\n',
  good: 'FROM scratch\nCMD ["/app", "--serve"]\n',
  *check({ stages }) {
    for (const { instruction, hasShell } of linesIn(stages)) {
      if (instruction.kind !== 'cmd' && instruction.kind !== 'entrypoint') continue;
      // Who sets SHELL wants one.
      if (instruction.command.form !== 'shell' || hasShell) continue;
      const name = instruction.keyword.raw.toUpperCase();
      const message = `JSON arguments recommended for ${name} to prevent unintended behavior related to OS signals`;
      yield { message, range: instruction.range, instruction };
    }
  },
};
