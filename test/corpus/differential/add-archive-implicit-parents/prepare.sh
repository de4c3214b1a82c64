#!/bin/sh
mkdir -p t/a/b; echo a > t/a/b/f; touch -d 2012-12-12 t/a/b/f; tar -C t --owner=3 --group=4 -cf t.tar a/b/f; rm -r t
