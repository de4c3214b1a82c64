// FROM sees only ARGs before the first FROM and the platform ARGs.
import { suggest } from '../../suggest.ts';
import { meaning, type Rule, ruleUrl } from '../rule.ts';
import { expandSafely } from '../subject.ts';

export const undefinedArgInFrom: Rule = {
  name: 'UndefinedArgInFrom',
  description: 'FROM uses only ARGs that stand before the first FROM',
  url: ruleUrl('UndefinedArgInFrom'),
  bad: 'ARG VERSION=1\nFROM busybox:${VERSON}\n',
  good: 'ARG VERSION=1\nFROM busybox:${VERSION}\n',
  *check({ dockerfile, globals, globalNames }) {
    const names = new Set([...globals.keys(), ...globalNames]);
    for (const { from } of dockerfile.stages) {
      for (const text of from.platform === undefined ? [from.image] : [from.image, from.platform]) {
        for (const name of expandSafely(text, globals, dockerfile).unset) {
          if (names.has(name)) continue;
          const message = `FROM argument '${name}' is not declared${meaning(suggest(name, names, true))}`;
          yield { message, range: text.range, instruction: from };
        }
      }
    }
  },
};
