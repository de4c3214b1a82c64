// --disable-content-trust, which scripts for docker pass. Its default is true there, and there is nothing else here.
import type { Command } from 'commander';
import { BuildError, printable } from '../../errors.ts';
import type { Session } from '../session.ts';

export interface ContentTrustFlags {
  readonly disableContentTrust?: boolean | string;
}

export function addContentTrust(command: Command): Command {
  return command.option(
    '--disable-content-trust [bool]',
    'only true: there is no Docker Content Trust here, see image verify and pull --verify-key',
  );
}

/**
 * Says so where the environment asks for what is not done.
 * @throws BuildError `unsupported` when signatures of Docker Content Trust were asked for by the flag
 */
export function checkContentTrust({ disableContentTrust: value }: ContentTrustFlags, session: Session): void {
  if (value === undefined && isTrue(session.env.DOCKER_CONTENT_TRUST)) {
    session.err(
      'warning: DOCKER_CONTENT_TRUST has no effect: Docker Content Trust (Notary) is not supported\n' +
        '  try: slipway pull --verify-key KEY, or --disable-content-trust\n',
    );
  }
  if (value === undefined || value === true || isTrue(value)) return;
  if (!/^(?:0|f|false)$/i.test(String(value))) {
    throw new BuildError(
      'usage',
      `--disable-content-trust=${printable(String(value))} is neither true nor false`,
    );
  }
  throw new BuildError('unsupported', 'Docker Content Trust (Notary) is not supported', {
    hint: 'slipway image verify --key KEY IMAGE, or slipway pull --verify-key KEY IMAGE, for signatures as cosign makes them',
  });
}

/** As Go reads it. */
function isTrue(value: unknown): boolean {
  return /^(?:1|t|true)$/i.test(String(value));
}
