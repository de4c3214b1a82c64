#!/bin/sh
mkdir d; echo x > d/x; chown -R 500:501 d; chmod 2775 d; ln -s x d/l; chown -h 7:7 d/l
