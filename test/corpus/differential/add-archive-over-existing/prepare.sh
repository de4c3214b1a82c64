#!/bin/sh
mkdir -p tree/dir/sub tree/real; chmod 1777 tree/dir; chmod 700 tree/dir/sub; chown 9:9 tree/dir/sub; echo old > tree/dir/f; ln -s real tree/link
mkdir -p t/sub; echo new > t/f; echo s > t/sub/s; chmod 711 t t/sub; tar -C t --owner=3 --group=4 --mtime=2012-12-12 --sort=name -cf t.tar .; rm -r t
