#!/bin/sh
mkdir d; mkfifo -m 622 d/pipe; echo s > d/setuid; chmod 4755 d/setuid; echo g > d/g; chmod 2711 d/g; mkdir -m 3770 d/sticky; : > d/zero; chmod 000 d/zero; chown 12:34 d/g; mknod d/null c 1 3
