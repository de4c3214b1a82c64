// What a registry's answer means when it is not what was asked for (OCI distribution-spec, error codes).
import { BuildError, type ErrorCode, printable } from '../errors.ts';
import { type HttpResponse, readStart } from '../host/http.ts';
import { parseRetryAfter } from '../host/retry.ts';
import { type Need, scopeOf } from './auth.ts';

const maxErrorBytes = 64 * 1024;

export interface FailedCall {
  /** Host as users write it. */
  readonly name: string;
  readonly need: Need;
  /** What was attempted, for the message: `upload of a layer`, `manifest latest`. */
  readonly what: string;
  readonly loggedIn: boolean;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** Reads and ends the response. Facts: `status`, `registryCode`, `retryable`, `retryAfterMs`. */
export async function statusError(response: HttpResponse, call: FailedCall): Promise<BuildError> {
  const { status } = response;
  const said = readErrors(await readStart(response, maxErrorBytes));
  const isFull = status === 507 || said.isFull === true;
  const facts = {
    status,
    host: call.name,
    repository: call.need.repository,
    registryCode: said.code,
    retryable: !isFull && (status === 408 || status === 429 || status >= 500),
    retryAfterMs: parseRetryAfter(response.header('retry-after'), call.nowMs),
  };
  const where = `${call.name}/${call.need.repository}`;
  const detail = said.text ? `: ${said.text}` : '';
  const fail = (code: ErrorCode, message: string, hint?: string) =>
    new BuildError(code, printable(message), {
      facts: { ...facts, scope: scopeOf(call.need) },
      ...(hint ? { hint } : {}),
    });
  const login = `${call.loggedIn ? 'the account that is logged in may lack the right; try' : 'log in first:'} slipway login ${printable(call.name)}`;
  if (status === 401 || status === 403 || said.code === 'DENIED' || said.code === 'UNAUTHORIZED') {
    return fail(
      'auth',
      `${call.name} denies ${call.what} (${scopeOf(call.need) ?? 'registry'})${detail}`,
      login,
    );
  }
  if (status === 404) return fail('not-found', `${where} has no ${call.what}${detail}`);
  if (status === 429) {
    const hint = call.loggedIn
      ? undefined
      : `registries allow more to those who log in: slipway login ${printable(call.name)}`;
    return fail('network', `${call.name} limits the rate of requests (${call.what})${detail}`, hint);
  }
  if (status === 413) return fail('network', `${call.name} finds it too large: ${call.what}${detail}`);
  if (isFull) {
    return fail(
      'network',
      `${call.name} has no space left for ${call.what} in ${call.need.repository}`,
      'its operator has to remove images and collect their blobs, or give it more room',
    );
  }
  return fail(
    'network',
    `${call.name} answered with status ${status} to ${call.what} in ${call.need.repository}${detail}`,
  );
}

/** ENOSPC and EDQUOT, in words or as distribution's storage drivers number them. */
const fullDisk = /no space left on device|disk quota exceeded|"Err":(?:28|122)\b/;

interface SaidErrors {
  readonly code?: string;
  readonly isFull?: boolean;
  readonly text: string;
}

/** The first of `{"errors":[{code,message}]}`; anything else is not shown, it may be a web page. */
function readErrors(body: Buffer): SaidErrors {
  try {
    const first = (JSON.parse(body.toString('utf8')) as { errors?: unknown[] }).errors?.[0] as Record<
      string,
      unknown
    >;
    const code = typeof first.code === 'string' ? first.code.slice(0, 100) : '';
    const message = typeof first.message === 'string' ? first.message.slice(0, 300) : '';
    const isFull = fullDisk.test(JSON.stringify(first.detail) ?? '');
    return { code, isFull, text: [code, message].filter(Boolean).join(': ') };
  } catch {
    return { text: '' };
  }
}
