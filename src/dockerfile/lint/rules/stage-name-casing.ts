// Stage names are looked up in lower case.
import { type Rule, ruleUrl } from '../rule.ts';

export const stageNameCasing: Rule = {
  name: 'StageNameCasing',
  description: 'A stage name is written in lower case',
  url: ruleUrl('StageNameCasing'),
  bad: 'FROM scratch AS Build\n',
  good: 'FROM scratch AS build\n',
  *check({ dockerfile }) {
    for (const { from } of dockerfile.stages) {
      if (from.as === undefined || from.as.raw === from.as.raw.toLowerCase()) continue;
      const message = `Stage name '${from.as.raw}' should be lowercase`;
      yield { message, range: from.as.range, instruction: from };
    }
  },
};
