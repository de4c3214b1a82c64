#!/bin/sh
mkdir -p d/s; echo x > d/a; ln d/a d/b; ln d/a d/s/c
