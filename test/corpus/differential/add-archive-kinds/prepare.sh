#!/bin/sh
set -e
for x in a b c d; do mkdir t$x; echo $x > t$x/f$x; chmod 640 t$x/f$x; chown 5:6 t$x/f$x; done
tar --mtime=@1500000000 --sort=name -C ta -cf a.tar .; tar --mtime=@1500000000 --sort=name -C tb -I "gzip -n" -cf b.tar.gz .; tar --mtime=@1500000000 --sort=name -C tc -cjf c.tar.bz2 .; tar --mtime=@1500000000 --sort=name -C td -cJf d.tar.xz .
cp b.tar.gz named.txt; echo text > notar.tar; cp b.tar.gz a.tar.gz; rm -r ta tb tc td
