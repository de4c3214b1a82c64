// Whether a registry lets somebody push, asked by beginning an upload and giving it up again.
import { BuildError } from '../errors.ts';
import type { Endpoints, Repository } from './endpoints.ts';
import { uploadLocation } from './places.ts';

/**
 * Asks once, and takes everything but a refusal for a yes: what else may be wrong can be over when there is an image.
 * @throws BuildError `auth` for a refusal, `not-found` for a repository that must be made first
 */
export async function checkPushRight(
  endpoints: Endpoints,
  repository: Repository,
  signal: AbortSignal,
): Promise<void> {
  const place = endpoints.writable(repository);
  const call = {
    need: { repository: place.path, access: 'push' },
    what: `upload to ${place.shown}`,
    signal,
  } as const;
  try {
    const begun = await place.host.send({
      ...call,
      method: 'POST',
      to: `/v2/${place.path}/blobs/uploads/`,
      expect: [202],
      headers: { 'content-length': '0' },
    });
    begun.body.destroy();
    const to = uploadLocation(begun.url, begun.header('location'));
    // A registry that does not know how to give an upload up forgets it in time.
    const ended = await place.host.send({ ...call, method: 'DELETE', to, expect: [200, 202, 204, 404, 405] });
    ended.body.destroy();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof BuildError && (error.code === 'auth' || error.code === 'not-found')) throw error;
  }
}
