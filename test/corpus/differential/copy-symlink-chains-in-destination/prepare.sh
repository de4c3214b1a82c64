#!/bin/sh
mkdir -p tree/r1/sub tree/r2; ln -s r1 tree/l1; ln -s ../r2 tree/r1/l2; ln -s ../../../../r2 tree/up; ln -s /../../r2 tree/esc; ln -s r2/new tree/made
