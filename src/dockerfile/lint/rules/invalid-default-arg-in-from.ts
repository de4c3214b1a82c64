// Without build arguments the file should build too.
import { BuildError } from '../../../errors.ts';
import { parseReference } from '../../../image/reference.ts';
import { type Rule, ruleUrl } from '../rule.ts';
import { expandSafely } from '../subject.ts';

export const invalidDefaultArgInFrom: Rule = {
  name: 'InvalidDefaultArgInFrom',
  description: 'With the defaults of its ARGs FROM names a valid image',
  url: ruleUrl('InvalidDefaultArgInFrom'),
  bad: 'ARG TAG\nFROM busybox:${TAG}\n',
  good: 'ARG TAG=latest\nFROM busybox:${TAG}\n',
  *check({ dockerfile, defaults }) {
    for (const { from } of dockerfile.stages) {
      const { raw, range } = from.image;
      // A name without a variable is wrong with any argument; the build says so.
      if (!raw.includes('$') || isReference(expandSafely(from.image, defaults, dockerfile).value)) continue;
      const message = `Default value for ARG ${raw} results in empty or invalid base image name`;
      yield { message, range, instruction: from };
    }
  },
};

function isReference(text: string): boolean {
  if (/^(?:oci-layout:\/\/|oci-archive:|docker-archive:)./.test(text)) return true;
  try {
    parseReference(text);
    return true;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return false;
  }
}
