#!/bin/sh
{ echo FROM scratch; printf 'ENV L=%s\n' "$(head -c 60000 /dev/zero | tr '\0' x)"; printf 'COPY a'; for i in $(seq 300); do printf ' \\\n  a'; done; echo ' /d/'; } > Dockerfile
