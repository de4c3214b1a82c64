#!/bin/sh
set -e
mkdir -p n/k; echo new > n/file; echo p > n/p; echo fl > n/fl; ln -s k n/sym
