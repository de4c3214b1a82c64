#!/bin/sh
mkdir -p tree/dir tree/real; ln -s ../real tree/dir/up
mkdir -p t/up; echo x > t/up/x; tar -C t --sort=name -cf t.tar up/x; rm -r t
