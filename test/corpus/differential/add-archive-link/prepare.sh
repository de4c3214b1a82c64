#!/bin/sh
mkdir t; echo 1 > t/motd; find t -exec touch -d 2012-12-12 {} +; tar --owner=0 --group=0 -C t -cf t.tar motd; rm -r t
