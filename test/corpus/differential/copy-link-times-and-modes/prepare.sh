#!/bin/sh
ln -s d l
