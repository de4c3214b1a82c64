#!/bin/sh
set -e
gzip -nc a > a.gz; head -c 10240 /dev/zero > e.tar
