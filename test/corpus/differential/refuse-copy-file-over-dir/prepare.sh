#!/bin/sh
mkdir -p tree/x/y d; echo file > d/x
