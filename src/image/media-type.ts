// Media types of OCI image-spec v1.1 (media-types.md) and Docker's image manifest v2, schema 2.

export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayerTar: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayerTar: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerForeignLayer: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
} as const;

/** How a layer blob is packed. */
export type Compression = 'uncompressed' | 'gzip' | 'zstd';

export function isManifestType(mediaType: string): boolean {
  return mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest;
}

export function isIndexType(mediaType: string): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerIndex;
}

/** Of a layer media type, by its suffix; undefined when the type names no layer known here. */
export function compressionOf(mediaType: string): Compression | undefined {
  if (!/(?:layer|rootfs)/.test(mediaType)) return undefined;
  if (/(?:\+|\.)gzip$/.test(mediaType)) return 'gzip';
  if (mediaType.endsWith('+zstd')) return 'zstd';
  return mediaType.endsWith('.tar') ? 'uncompressed' : undefined;
}

/** The layer media type for a packing. Docker has no zstd type: that is always an OCI one. */
export function layerMediaType(compression: Compression, format: 'oci' | 'docker'): string {
  if (compression === 'zstd') return mediaTypes.ociLayerZstd;
  if (format === 'docker')
    return compression === 'gzip' ? mediaTypes.dockerLayerGzip : mediaTypes.dockerLayerTar;
  return compression === 'gzip' ? mediaTypes.ociLayerGzip : mediaTypes.ociLayerTar;
}
