#!/bin/sh
truncate -s 100000 sparse; echo end >> sparse; touch -d 2012-12-12 sparse; tar --format=pax -S -cf pax.tar sparse; rm sparse
