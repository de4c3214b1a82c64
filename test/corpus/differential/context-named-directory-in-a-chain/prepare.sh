#!/bin/sh
mkdir -p named/bin; cp "$(command -v busybox)" named/bin/
