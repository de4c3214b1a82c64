#!/bin/sh
set -e
gzip -n x.txt; mkdir sub; echo i > sub/i; tar --mtime=@1500000000 --sort=name -cf sub/in.tar --mtime=@1500000000 --sort=name -C sub i; tar --mtime=@1500000000 --sort=name -I "gzip -n" -cf x.tgz sub/i
