// The instructions of the language.

/** Every instruction keyword, in upper case. */
export const KEYWORDS = [
  'ADD',
  'ARG',
  'CMD',
  'COPY',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'FROM',
  'HEALTHCHECK',
  'LABEL',
  'MAINTAINER',
  'ONBUILD',
  'RUN',
  'SHELL',
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
] as const;

export type Keyword = (typeof KEYWORDS)[number];

/** The instruction that a word names, whatever its case. */
export function keywordOf(word: string): Keyword | undefined {
  const upper = word.toUpperCase();
  return KEYWORDS.find(keyword => keyword === upper);
}
