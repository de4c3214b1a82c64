#!/bin/sh
mkdir -p tree/real d/real d/plain; ln -s real tree/link; echo x > d/real/x; echo a > tree/file; echo b > d/file; ln -s file tree/sym; echo c > d/sym; ln -s nowhere d/real/new
