#!/bin/sh
mkdir t; : > t/cap; setcap cap_net_raw,cap_setuid+ep t/cap; touch -d 2012-12-12 t/*; tar --xattrs --xattrs-include='*' -C t -cf t.tar cap; rm -r t
