// Failures of the network in words. Nothing here quotes a header or a query, which may hold secrets.
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';

const certificateProblems: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  CERT_REVOKED: 'its certificate was revoked',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an authority that is not trusted here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate comes from an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate comes from an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an authority that is not trusted here',
};

const connectionProblems: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name cannot be looked up at the moment',
  ECONNREFUSED: 'the connection is refused',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ETIMEDOUT: 'it does not answer',
  UND_ERR_CONNECT_TIMEOUT: 'it does not answer',
  ECONNRESET: 'it broke off the connection',
  EPIPE: 'it broke off the connection',
  UND_ERR_SOCKET: 'it broke off the connection',
  UND_ERR_ABORTED: 'the proxy refused to connect to it',
  UND_ERR_HEADERS_TIMEOUT: 'it stopped answering',
  UND_ERR_BODY_TIMEOUT: 'it stopped sending',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'it sent less than it announced',
};

/** Thrown by the connector when a name leads to an address that the request must not reach. */
export const refusedAddress = 'SLIPWAY_REFUSED_ADDRESS';

/** Scheme, host and path: what of a URL may be shown. */
export function shownUrl(url: URL): string {
  return printable(`${url.protocol}//${url.host}${url.pathname}`);
}

/** True when the other side answered a TLS greeting with something else: most likely it speaks plain http. */
export function isNotTls(error: unknown): boolean {
  const code = errnoOf(error) ?? '';
  return (
    /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNKNOWN_PROTOCOL|RECORD_OVERFLOW)$/.test(
      code,
    ) ||
    (/^(?:EPROTO|ERR_SSL_)/.test(code) &&
      /wrong version number|packet length too long|http request/.test(messageOf(error)))
  );
}

/**
 * @param error as node or undici throws it
 * @param proxy through which the host was asked for
 * @returns a BuildError `network`; facts: `host`, `errno`, `retryable`, `tls` (`certificate` or `not-tls`)
 */
export function networkError(error: unknown, url: URL, timeoutMs: number, proxy?: URL): BuildError {
  const host = printable(url.host);
  const cause = rootCause(error);
  const errno = errnoOf(cause) ?? '';
  const certificate = certificateProblems[errno];
  if (certificate) return certificateError(host, certificate, errno, cause);
  if (isNotTls(cause)) {
    return new BuildError('network', `${host} does not speak TLS on that port`, {
      cause,
      facts: { host, errno, tls: 'not-tls' },
      hint: `if it is a plain http registry you trust, set insecure = true for it in registries.conf, or use --tls-verify=false`,
    });
  }
  if (errno === refusedAddress) return refusal(host, messageOf(cause));
  const known = connectionProblems[errno];
  const seconds = /^UND_ERR_(?:HEADERS|BODY)_TIMEOUT$/.test(errno) ? ` for ${timeoutMs / 1000} s` : '';
  return new BuildError(
    'network',
    `${host} cannot be reached: ${known ? known + seconds : printable(messageOf(cause))}`,
    {
      cause,
      facts: { host, errno, retryable: errno !== 'ENOTFOUND' },
      ...(proxy
        ? { hint: `it is asked for through the proxy ${printable(proxy.host)}: see HTTPS_PROXY and NO_PROXY` }
        : errno === 'ENOTFOUND'
          ? { hint: 'check the spelling of the host, the DNS settings and HTTPS_PROXY' }
          : {}),
    },
  );
}

/** For a place that another server named and that must not be contacted. */
export function refusal(host: string, kind: string): BuildError {
  return new BuildError(
    'hostile',
    `${host} is ${kind} address, and a server elsewhere may not send slipway there`,
    {
      facts: { host },
    },
  );
}

function certificateError(host: string, problem: string, errno: string, cause: unknown): BuildError {
  return new BuildError('network', `the connection to ${host} is not trusted: ${problem}`, {
    cause,
    facts: { host, errno, tls: 'certificate' },
    hint: `put the authority's certificate in /etc/containers/certs.d/${host}/ca.crt (or docker's certs.d)`,
  });
}

/** AggregateError of several addresses, or an error with a cause: the innermost that has a code. */
function rootCause(error: unknown): unknown {
  if (
    error instanceof AggregateError &&
    error.errors.length > 0 &&
    !certificateProblems[errnoOf(error) ?? '']
  )
    return errnoOf(error) ? error : rootCause(error.errors[0]);
  if (error instanceof Error && error.cause !== undefined && errnoOf(error.cause) !== undefined) {
    const inner = errnoOf(error.cause) ?? '';
    if (!errnoOf(error) || inner in certificateProblems || inner in connectionProblems) return error.cause;
  }
  return error;
}
