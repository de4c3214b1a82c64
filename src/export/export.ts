// The door of this room: a finished image goes where an output says.
import { BuildError, unreachable } from '../errors.ts';
import { exportDockerArchive } from './docker-archive.ts';
import type { ExportInput } from './finished-image.ts';
import { exportToRegistry, exportToStore } from './image-store.ts';
import { exportLocal } from './local.ts';
import { exportOci } from './oci.ts';
import type { OutputSpec } from './output-spec.ts';
import { exportTar } from './tar.ts';
import type { ExportTools, Receipt } from './tools.ts';

/**
 * Carries one output out. On failure or abort nothing is left under its name, and a file that was there is unchanged.
 * @throws BuildError `output`, `usage`, `unsupported`, `store`, `network`, `auth`, `interrupted`
 */
export async function exportImage(
  input: ExportInput,
  spec: OutputSpec,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Receipt> {
  try {
    return await carryOut(input, spec, tools, signal);
  } catch (error) {
    if (!signal.aborted || error instanceof BuildError) throw error;
    throw new BuildError('interrupted', 'the export was interrupted', { cause: error });
  }
}

async function carryOut(
  input: ExportInput,
  spec: OutputSpec,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Receipt> {
  switch (spec.kind) {
    case 'docker':
      return exportDockerArchive(input, spec, tools, signal);
    case 'oci':
      return exportOci(input, spec, tools, signal);
    case 'tar':
      return exportTar(input, spec, tools, signal);
    case 'local':
      return exportLocal(input, spec, tools, signal);
    case 'image':
      return exportToStore(input, spec, tools, signal);
    case 'registry':
      return exportToRegistry(input, spec, tools, signal);
    case 'cacheonly':
      return { to: [] };
    default:
      return unreachable(spec);
  }
}
