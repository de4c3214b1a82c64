# OpenStack Swift with its S3 interface: all its servers on free ports of 127.0.0.1, data in one directory.
# Usage: s3-server.py DIRECTORY; says "port N" when it answers, ends with its standard input.
import os
import signal
import socket
import subprocess
import sys
import time

from swift.common.ring import RingBuilder

root = os.path.abspath(sys.argv[1])
user = subprocess.run(['id', '-un'], capture_output=True, text=True, check=True).stdout.strip()

common = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {root}
log_level = ERROR
"""
storage = """devices = {root}/devices
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
proxy = """[pipeline:main]
pipeline = catch_errors cache s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""
start = """import sys
import swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[1] + '/swift.conf'
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(f'{sys.argv[1]}/{sys.argv[2]}.conf', f'{sys.argv[2]}-server'))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def write(name, text):
    with open(f'{root}/{name}', 'w') as file:
        file.write(text)


os.makedirs(root + '/devices/d1')
write('swift.conf', '[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n')
kinds = ('account', 'container', 'object', 'proxy')
ports = {kind: free_port() for kind in kinds}
for kind in kinds:
    values = {'port': ports[kind], 'user': user, 'root': root, 'kind': kind}
    write(kind + '.conf', common.format(**values) + (proxy if kind == 'proxy' else storage.format(**values)))
    if kind == 'proxy':
        continue
    ring = RingBuilder(4, 1, 0)
    ring.add_dev({'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': ports[kind], 'device': 'd1', 'weight': 1,
                  'replication_ip': '127.0.0.1', 'replication_port': ports[kind], 'meta': ''})
    ring.rebalance()
    ring.get_ring().save(f'{root}/{kind}.ring.gz')
children = [subprocess.Popen([sys.executable, '-c', start, root, kind], cwd=root) for kind in kinds]


def stop(*_):
    for child in children:
        child.kill()
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
for kind in kinds:
    while True:
        if any(child.poll() is not None for child in children):
            print('a server of swift ended', flush=True)
            stop()
        try:
            socket.create_connection(('127.0.0.1', ports[kind]), 1).close()
            break
        except OSError:
            time.sleep(0.1)
print('port', ports['proxy'], flush=True)
sys.stdin.read()
stop()
