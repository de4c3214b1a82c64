#!/bin/sh
mkdir -p tree/real/deep tree/other; ln -s real tree/l; ln -s /other tree/abs; echo old > tree/target; ln -s target tree/filelink; ln -s made tree/dangling; ln -s madedir tree/danglingdir; ln -s l tree/loop2
