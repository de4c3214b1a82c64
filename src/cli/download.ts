// A GET that follows redirects, for what a command is told to fetch; credentials are never sent.
import { BuildError, printable } from '../errors.ts';
import type { Http, HttpResponse } from '../host/http.ts';

const maxRedirects = 10;

/** @returns the answer with status 200 @throws BuildError `usage`, `not-found`, `network` */
export async function get(http: Http, address: string, signal: AbortSignal): Promise<HttpResponse> {
  let url = parseUrl(address);
  for (let i = 0; i <= maxRedirects; i++) {
    const answer = await http.send({ method: 'GET', url, signal });
    if (answer.status === 200) return answer;
    answer.body.destroy();
    const location = answer.header('location');
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) {
      const code = answer.status === 404 || answer.status === 410 ? 'not-found' : 'network';
      throw new BuildError(code, `${printable(url.href)} answered with status ${answer.status}`, {
        facts: { status: answer.status, url: url.href },
      });
    }
    const next = new URL(location, url);
    if (url.protocol === 'https:' && next.protocol !== 'https:') {
      throw new BuildError(
        'hostile',
        `${printable(url.href)} leads away from https, to ${printable(next.href)}`,
      );
    }
    url = parseUrl(next.href);
  }
  throw new BuildError('network', `${printable(address)} redirects more than ${maxRedirects} times`);
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new BuildError('usage', `"${printable(text)}" is not an http URL`);
}
