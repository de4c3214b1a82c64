#!/bin/sh
mkdir -p d/sub; echo a > d/a; echo w > d/.whale; echo x > d/sub/.w
