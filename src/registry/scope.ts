// What a token is for (distribution's token scopes): `repository:library/busybox:pull,push`.

/** What somebody wants to do with a repository. */
export type Access = 'pull' | 'push';

export function repositoryScope(path: string, access: Access): string {
  return `repository:${path}:${access === 'push' ? 'pull,push' : 'pull'}`;
}

/** @returns scopes in order without duplicates; from a challenge only what looks like a scope */
export function mergeScopes(wanted: readonly string[], challenged: string | undefined): readonly string[] {
  const offered = (challenged ?? '')
    .split(' ')
    .filter(scope => /^[a-z]+(?:\([a-z]+\))?:[^\s:]+(?::\d+[^\s:]*)?:[a-z*,]+$/i.test(scope));
  return [...new Set([...wanted, ...offered.slice(0, 8)])].sort();
}
