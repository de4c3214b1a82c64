// MAINTAINER has been replaced by labels.
import { type Rule, ruleUrl } from '../rule.ts';

export const maintainerDeprecated: Rule = {
  name: 'MaintainerDeprecated',
  description: 'A label names the author, not MAINTAINER',
  url: ruleUrl('MaintainerDeprecated'),
  bad: 'FROM scratch\nMAINTAINER me@example.com\n',
  good: 'FROM scratch\nLABEL org.opencontainers.image.authors="me@example.com"\n',
  *check({ dockerfile }) {
    for (const instruction of dockerfile.stages.flatMap(stage => stage.instructions)) {
      if (instruction.kind !== 'maintainer') continue;
      const message = 'Maintainer instruction is deprecated in favor of using label';
      yield { message, range: instruction.range, instruction };
    }
  },
};
