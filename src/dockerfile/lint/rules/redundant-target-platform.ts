// The target platform is what FROM takes anyway.
import { type Rule, ruleUrl } from '../rule.ts';
import { expandSafely } from '../subject.ts';

export const redundantTargetPlatform: Rule = {
  name: 'RedundantTargetPlatform',
  description: 'FROM does without --platform=$TARGETPLATFORM, which is the default',
  url: ruleUrl('RedundantTargetPlatform'),
  bad: 'FROM --platform=$TARGETPLATFORM busybox\n',
  good: 'FROM --platform=$BUILDPLATFORM busybox\n',
  *check({ dockerfile, globals }) {
    for (const { from } of dockerfile.stages) {
      if (from.platform === undefined) continue;
      const { value, used, unset } = expandSafely(from.platform, globals, dockerfile);
      if (unset.length > 0 || used.length !== 1 || used[0] !== 'TARGETPLATFORM') continue;
      if (value !== globals.get('TARGETPLATFORM')) continue;
      const message = `Setting platform to predefined ${from.platform.raw} in FROM is redundant as this is the default behavior`;
      yield { message, range: from.platform.range, instruction: from };
    }
  },
};
