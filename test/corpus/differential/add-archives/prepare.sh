#!/bin/sh
mkdir -p t/d/e; echo a > t/a; ln t/a t/hard; ln -s a t/l; ln -s /abs/x t/d/abs; echo f > t/d/e/f; chmod 700 t/d; chmod 4755 t/a; mkfifo t/p; chown -R 21:22 t/d/e; find t -exec touch -h -d 2012-12-12 {} +
o="--sort=name --owner=3 --group=4 --numeric-owner"
tar -C t $o -cf tar.bin .; gzip -n < tar.bin > gz.bin; bzip2 < tar.bin > bz2.bin; xz < tar.bin > xz.bin; zstd -q < tar.bin > zst.bin; rm -r t
