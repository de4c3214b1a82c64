#!/bin/sh
mkdir t; : > t/cap; setcap cap_net_raw+ep t/cap; setfattr -n user.a -v b t/cap; mknod t/null c 1 3; mknod t/loop b 7 1; touch -d 2012-12-12 t/*; tar --xattrs --xattrs-include='*' -C t -cf t.tar cap null loop; rm -r t
