// A fixed platform keeps the file from being built for others, unless the stage's name says that it is meant.
import { BuildError } from '../../../errors.ts';
import { type Platform, parsePlatform } from '../../../image/platform.ts';
import { type Rule, ruleUrl } from '../rule.ts';
import { expandSafely } from '../subject.ts';

export const fromPlatformFlagConstDisallowed: Rule = {
  name: 'FromPlatformFlagConstDisallowed',
  description: 'FROM --platform is a variable, or the stage is named after the platform',
  url: ruleUrl('FromPlatformFlagConstDisallowed'),
  bad: 'FROM --platform=linux/amd64 busybox AS build\n',
  good: 'FROM --platform=linux/amd64 busybox AS build-amd64\n',
  *check({ dockerfile, globals }) {
    for (const { from, name = '' } of dockerfile.stages) {
      if (from.platform === undefined) continue;
      const { value, used, unset } = expandSafely(from.platform, globals, dockerfile);
      const platform = used.length + unset.length > 0 ? undefined : asPlatform(value);
      if (platform === undefined || name.includes(platform.os) || name.includes(platform.architecture))
        continue;
      const message = `FROM --platform flag should not use constant value "${value}"`;
      yield { message, range: from.platform.range, instruction: from };
    }
  },
};

/** Undefined when it is none: the build says so. */
function asPlatform(text: string): Platform | undefined {
  try {
    return parsePlatform(text);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return undefined;
  }
}
