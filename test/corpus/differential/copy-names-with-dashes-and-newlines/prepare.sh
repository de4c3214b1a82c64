#!/bin/sh
set -e
printf t > "$(printf 'tab\tname')"; printf n > "$(printf 'new\nline')"; touch -- -n
