#!/bin/sh
echo 1 > a; touch -d 2012-12-12 a; tar --owner=mail:77 --group=users:88 -cf t.tar a; rm a
