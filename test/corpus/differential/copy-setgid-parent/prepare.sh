#!/bin/sh
mkdir -p t/p; echo 1 > t/p/1; echo 2 > t/q; find t -exec touch -d 2012-12-12 {} +; tar --owner=0 --group=0 --sort=name -C t -cf t.tar p q; rm -r t
