// Images of the store into an engine, uncompressed: it would only have to unpack them again.
import { BuildError } from '../errors.ts';
import type { FinishedImage } from '../export/finished-image.ts';
import { hostPlatform, type Platform, platformDistance } from '../image/platform.ts';
import { type EngineAddress, openEngine } from './engine.ts';
import { packFinished, packPlain } from './pack-stored.ts';
import { type SavedImage, writeImageArchive } from './save.ts';
import { collectImages } from './save-names.ts';
import type { ImageTools } from './tools.ts';

/** @returns what the engine said @throws BuildError `not-found`, `output` */
export async function handOver(
  texts: readonly string[],
  address: EngineAddress,
  tools: ImageTools,
  platform?: Platform,
): Promise<readonly string[]> {
  const images = await collectImages(texts, platform, tools, image => packPlain(image, tools, true));
  return send(images, address, tools);
}

/** The same for an image that was built just now, under its names. Of several platforms the one of this machine goes. */
export async function handOverBuilt(
  built: readonly FinishedImage[],
  address: EngineAddress,
  tools: ImageTools,
): Promise<readonly string[]> {
  const distance = (image: FinishedImage) =>
    platformDistance(hostPlatform(), image.platform) ?? Number.MAX_SAFE_INTEGER;
  const [image] = [...built].sort((a, b) => distance(a) - distance(b));
  if (!image) throw new BuildError('internal', 'nothing was built');
  return send([{ packed: await packFinished(image, tools, true), names: image.names }], address, tools);
}

async function send(
  images: readonly SavedImage[],
  address: EngineAddress,
  tools: ImageTools,
): Promise<readonly string[]> {
  await using engine = openEngine(address, tools.signal);
  await writeImageArchive(images, 'docker', engine, tools);
  return engine.said;
}
