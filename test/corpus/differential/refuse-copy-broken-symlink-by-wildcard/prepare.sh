#!/bin/sh
ln -s nowhere broken
