#!/bin/sh
mkdir -m 000 d; echo x > d/x; chmod 000 d/x; mkdir -m 111 d/s; echo y > d/s/y; chmod 7000 d/s/y
