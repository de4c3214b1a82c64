#!/bin/sh
set -e
mkdir -p n/k n/l; echo in > n/k/in; echo li > n/l/li; mkdir n/f; echo ff > n/f/ff; tar -C n --sort=name -cf t.tar k l f; rm -r n
