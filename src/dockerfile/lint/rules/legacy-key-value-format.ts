// `ENV name value` takes the rest of the line, which surprises.
import { type Rule, ruleUrl } from '../rule.ts';
import { linesIn } from '../subject.ts';

export const legacyKeyValueFormat: Rule = {
  name: 'LegacyKeyValueFormat',
  description: 'ENV and LABEL are written with an equals sign',
  url: ruleUrl('LegacyKeyValueFormat'),
  bad: 'FROM scratch\nENV MODE production\n',
  good: 'FROM scratch\nENV MODE=production\n',
  *check({ stages }) {
    for (const { instruction } of linesIn(stages)) {
      if ((instruction.kind !== 'env' && instruction.kind !== 'label') || !instruction.legacy) continue;
      const name = instruction.keyword.raw.toUpperCase();
      const message = `"${name} key=value" should be used instead of legacy "${name} key value" format`;
      yield { message, range: instruction.range, instruction };
    }
  },
};
