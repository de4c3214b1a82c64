#!/bin/sh
mkdir -p tree/real tree/dir; chmod 700 tree/dir; echo o > tree/file; echo o > tree/dir/old; ln -s real tree/dirlink
