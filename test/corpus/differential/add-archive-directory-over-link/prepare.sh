#!/bin/sh
mkdir -p tree/dir/real; echo k > tree/dir/real/kept; ln -s real tree/dir/d; echo f > tree/dir/file; ln -s file tree/dir/l; mkdir tree/dir/gone; echo g > tree/dir/gone/g
mkdir -p t/d t/file; echo x > t/d/x; echo l > t/l; echo n > t/gone; touch -d 2012-12-12 t/* t/d/x; tar -C t --sort=name -cf t.tar .; rm -r t
