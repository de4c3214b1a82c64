#!/bin/sh
tar -cf empty.tar -T /dev/null; : > zero; gzip -n < zero > empty.gz
