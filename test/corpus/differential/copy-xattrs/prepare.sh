#!/bin/sh
mkdir d; cp /bin/true d/cap; truncate -s 0 d/cap; echo x > d/user; setfattr -n user.note -v hello d/user; setfattr -n user.dir -v d d; setcap cap_net_raw,cap_setuid+ep d/cap
