#!/bin/sh
set -e
tar -cf t.tar d
