// Images of the store into an engine, uncompressed: it would only have to unpack them again.
import type { Platform } from '../image/platform.ts';
import { type EngineAddress, openEngine } from './engine.ts';
import { packPlain } from './pack-stored.ts';
import { writeImageArchive } from './save.ts';
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
  await using engine = openEngine(address, tools.signal);
  await writeImageArchive(images, 'docker', engine, tools);
  return engine.said;
}
