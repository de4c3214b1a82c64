// Runs the checks over a Dockerfile: https://docs.docker.com/reference/build-checks/
import { BuildError, type Diagnostic } from '../../errors.ts';
import { parseCheck } from '../directives.ts';
import { foreignFrontend } from '../frontend.ts';
import type { Directives, Dockerfile } from '../instructions.ts';
import type { Finding, Rule } from './rule.ts';
import { rules } from './rules.ts';
import { type LintContext, makeSubject } from './subject.ts';

export type { BaseFacts, LintContext } from './subject.ts';

type Settings = NonNullable<Directives['check']>;

/**
 * The findings of all rules that are on, as warnings, by place in the file; warnings of the parser among them. The
 * check directive, or in its place the build arg BUILDKIT_DOCKERFILE_CHECK, turns rules off and experimental ones on; a
 * `# check=skip=` comment does it for one instruction.
 * @throws BuildError `usage` when the build arg is malformed
 */
export function lintDockerfile(dockerfile: Dockerfile, context: LintContext = {}): Diagnostic[] {
  const settings = settingsOf(dockerfile, context);
  if (settings?.skipAll) return [];
  const subject = makeSubject(dockerfile, context);
  const found: Diagnostic[] = parserWarnings(dockerfile, context).filter(
    ({ rule }) => !ruleNames.has(rule) && !settings?.skip.includes(rule),
  );
  for (const rule of rules) {
    if (!isOn(rule, settings)) continue;
    for (const finding of rule.check(subject)) {
      if (!isSilenced(rule, finding)) found.push(toDiagnostic(rule, finding));
    }
  }
  return inOrder(found);
}

/**
 * The error that `error=true` asks for when a rule fired, undefined when the findings do not stop the build.
 * @throws BuildError `usage` when the build arg is malformed
 */
export function lintError(
  dockerfile: Dockerfile,
  findings: readonly Diagnostic[],
  context: LintContext = {},
): BuildError | undefined {
  if (!settingsOf(dockerfile, context)?.error) return undefined;
  const fired = [...new Set(findings.map(finding => finding.rule))].filter(rule => ruleNames.has(rule));
  if (fired.length === 0) return undefined;
  return new BuildError('dockerfile', `lint violation found for rules: ${fired.sort().join(', ')}`, {
    hint: 'the check directive of the Dockerfile says error=true',
    diagnostics: findings.filter(finding => ruleNames.has(finding.rule)),
  });
}

/** The build arg BUILDKIT_SYNTAX stands in for the syntax directive, so it is the one that may be foreign. */
function parserWarnings({ diagnostics }: Dockerfile, { buildArgs }: LintContext): readonly Diagnostic[] {
  const warnings = diagnostics.filter(({ severity }) => severity === 'warning');
  const syntax = buildArgs?.get('BUILDKIT_SYNTAX');
  if (!syntax) return warnings;
  const foreign = foreignFrontend(syntax);
  const others = warnings.filter(({ rule }) => rule !== 'foreign-frontend');
  return foreign === undefined ? others : [foreign, ...others];
}

const ruleNames: ReadonlySet<string> = new Set(rules.map(rule => rule.name));

function settingsOf(dockerfile: Dockerfile, context: LintContext): Settings | undefined {
  const override = context.buildArgs?.get('BUILDKIT_DOCKERFILE_CHECK');
  if (override === undefined) return dockerfile.directives.check;
  const problems: Diagnostic[] = [];
  const settings = parseCheck(override, undefined, problems);
  const [problem] = problems;
  if (problem === undefined) return settings;
  const hint = problem.hint === undefined ? {} : { hint: problem.hint };
  throw new BuildError('usage', `the build argument BUILDKIT_DOCKERFILE_CHECK: ${problem.message}`, hint);
}

function isOn(rule: Rule, settings: Settings | undefined): boolean {
  const experimental = settings?.experimental ?? [];
  if (rule.experimental && !experimental.includes('all') && !experimental.includes(rule.name)) return false;
  return !settings?.skip.includes(rule.name);
}

function isSilenced(rule: Rule, { instruction }: Finding): boolean {
  const skip = instruction?.skip ?? [];
  return skip.includes(rule.name) || skip.includes('all');
}

function toDiagnostic(rule: Rule, { message, range }: Finding): Diagnostic {
  const url = rule.url === undefined ? {} : { url: rule.url };
  return { severity: 'warning', rule: rule.name, message, range, ...url };
}

/** By place; the same thing at the same place is said once. */
function inOrder(found: readonly Diagnostic[]): Diagnostic[] {
  const line = ({ range }: Diagnostic) => range?.start.line ?? 0;
  const column = ({ range }: Diagnostic) => range?.start.column ?? 0;
  const sorted = [...found].sort((a, b) => line(a) - line(b) || column(a) - column(b));
  const unique = new Map(sorted.map(d => [`${d.rule} ${line(d)}:${column(d)} ${d.message}`, d]));
  return [...unique.values()];
}
