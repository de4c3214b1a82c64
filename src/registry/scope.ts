// What a token is for (distribution's token scopes): `repository:library/x:pull,push`.

/** What somebody wants to do with a repository. */
export type Access = 'pull' | 'push';

const grammar = /^([a-z]+(?:\([a-z]+\))?:[^\s:]+(?::\d+[^\s:]*)?):([a-z*]+(?:,[a-z*]+)*)$/i;
/** Scopes taken over from a challenge. */
const maxChallenged = 8;

export function repositoryScope(path: string, access: Access): string {
  return `repository:${path}:${access === 'push' ? 'pull,push' : 'pull'}`;
}

/**
 * @param challenged scopes as a registry asked for them, separated by spaces; what is no scope is left out
 * @returns one scope per resource, in order
 */
export function mergeScopes(wanted: readonly string[], challenged: string | undefined): readonly string[] {
  const offered = (challenged ?? '').split(' ').slice(0, maxChallenged);
  const actions = new Map<string, Set<string>>();
  for (const scope of [...wanted, ...offered]) {
    const parts = grammar.exec(scope);
    if (!parts?.[1] || !parts[2]) continue;
    const known = actions.get(parts[1]) ?? new Set();
    for (const action of parts[2].split(',')) known.add(action);
    actions.set(parts[1], known);
  }
  return [...actions].map(([resource, set]) => `${resource}:${[...set].sort().join()}`).sort();
}
