// How many columns of a terminal a text takes (Unicode Standard Annex 11): wide characters take two.

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;

export function widthOf(text: string): number {
  return [...text].reduce((width, char) => width + (wide.test(char) ? 2 : 1), 0);
}

/** The beginning of a text, no wider than `width`, with an ellipsis in place of what does not fit. */
export function ellipsis(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let left = width - 1;
  let start = '';
  for (const char of text) {
    left -= widthOf(char);
    if (left < 0) break;
    start += char;
  }
  return `${start}…`;
}
