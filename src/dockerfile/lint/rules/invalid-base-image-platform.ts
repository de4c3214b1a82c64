// The image that came is for another platform than the one that was asked for.
import { formatPlatform } from '../../../image/platform.ts';
import type { Rule } from '../rule.ts';

export const invalidBaseImagePlatform: Rule = {
  name: 'InvalidBaseImagePlatform',
  description: 'The base image is for the platform that is built for',
  bad: 'FROM busybox\n',
  good: 'FROM scratch\n',
  *check({ stages, context }) {
    for (const { stage } of stages) {
      const { platform, expectedPlatform: expected } = context.bases?.get(stage.index) ?? {};
      if (platform === undefined || expected === undefined) continue;
      if (platform.os === expected.os && platform.architecture === expected.architecture) continue;
      const { image } = stage.from;
      const message = `Base image ${image.raw} was pulled with platform "${formatPlatform(platform)}", expected "${formatPlatform(expected)}" for current build`;
      yield { message, range: image.range, instruction: stage.from };
    }
  },
};
