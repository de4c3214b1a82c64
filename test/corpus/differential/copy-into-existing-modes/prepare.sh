#!/bin/sh
mkdir -p tree/dir/sub tree/dir2 tree/dir3; chmod 700 tree/dir/sub; chmod 1777 tree/dir; chown 5:5 tree/dir/sub; chmod 750 tree/dir3; echo old > tree/dir/file; chmod 600 tree/dir/file; chmod 755 d/sub; touch -d 2010-10-10 d/sub
