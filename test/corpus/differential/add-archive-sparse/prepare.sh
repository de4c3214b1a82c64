#!/bin/sh
truncate -s 100000 sparse; touch -d 2012-12-12 sparse; tar --format=gnu -S -cf gnu.tar sparse; rm sparse
