#!/bin/sh
head -c 100000 /dev/zero > z; tar --mtime=@0 -cf - z | gzip -n > full.tar.gz; head -c 60 full.tar.gz > x.tar.gz; rm z full.tar.gz; head -c 300 /dev/urandom | tr -c a a > y.tar
