// Base images for the end-to-end tests: made from Debian's packages, imported and pushed by a real Docker engine into the
// storage of a real registry under dist/fixtures/registry. Made once; `npm run clean` forgets them. Needs root.
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const home = join(root, 'dist/fixtures');
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

if (existsSync(join(home, 'complete'))) process.exit(0);
if (process.getuid() !== 0) {
  console.error('the base images of the end-to-end tests are made by root: run the tests once as root');
  process.exit(1);
}
rmSync(home, { recursive: true, force: true });
mkdirSync(home, { recursive: true });

console.log('making base images from Debian packages (once)');
busybox();
debian('debian', ['ca-certificates', 'passwd']);
debian('gcc', ['gcc', 'libc6-dev', 'make']);
debian('node', ['ca-certificates', 'libstdc++6', 'passwd'], addNode);
await publish();
for (const name of ['debian', 'gcc', 'node']) rmSync(join(home, `${name}.tar`));
rmSync(join(home, 'node-files'), { recursive: true });
writeFileSync(join(home, 'complete'), '');

/** One program and the users and directories that images of its kind have. */
function busybox() {
  const tree = join(home, 'busybox-files');
  const program = execFileSync('which', ['busybox'], { encoding: 'utf8' }).trim();
  for (const dir of [
    'bin',
    'etc',
    'tmp',
    'root',
    'proc',
    'sys',
    'dev',
    'home',
    'var/spool/mail',
    'usr/sbin',
    'usr/bin',
  ]) {
    mkdirSync(join(tree, dir), { recursive: true });
  }
  cpSync(program, join(tree, 'bin/busybox'));
  for (const applet of execFileSync(program, ['--list'], { encoding: 'utf8' }).split('\n')) {
    if (applet !== '' && applet !== 'busybox') symlinkSync('busybox', join(tree, 'bin', applet));
  }
  const users = [
    'root:x:0:0:root:/root:/bin/sh',
    'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
    'bin:x:2:2:bin:/bin:/bin/false',
    'mail:x:8:8:mail:/var/spool/mail:/bin/false',
    'www-data:x:33:33:www-data:/var/www:/bin/false',
    'nobody:x:65534:65534:nobody:/home:/bin/false',
  ];
  const groups = [
    'root:x:0',
    'daemon:x:1',
    'bin:x:2',
    'mail:x:8',
    'www-data:x:33',
    'users:x:100',
    'nogroup:x:65534',
  ];
  writeFileSync(join(tree, 'etc/passwd'), users.map(line => `${line}\n`).join(''));
  writeFileSync(join(tree, 'etc/group'), groups.map(line => `${line}:\n`).join(''));
  chmodSync(join(tree, 'tmp'), 0o1777);
  const same = ['--numeric-owner', '--owner=0', '--group=0', '--mtime=@1700000000', '--sort=name'];
  execFileSync('tar', ['-C', tree, ...same, '-cf', join(home, 'busybox.tar'), '.']);
  rmSync(tree, { recursive: true });
}

/** The mirror and release that this machine itself installs from. */
function mirror() {
  const dir = '/etc/apt/sources.list.d';
  const files = [
    ...(existsSync(dir) ? readdirSync(dir).map(name => join(dir, name)) : []),
    '/etc/apt/sources.list',
  ];
  for (const file of files.filter(existsSync)) {
    const text = readFileSync(file, 'utf8');
    const uri = /^URIs:\s*(\S+)/m.exec(text)?.[1] ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(text)?.[1];
    if (uri) return uri;
  }
  return 'http://deb.debian.org/debian';
}

function debian(name, packages, customize) {
  const release = /^VERSION_CODENAME=(\S+)/m.exec(readFileSync('/etc/os-release', 'utf8'))[1];
  const extra = customize ? customize() : [];
  const args = ['--quiet', '--variant=minbase', '--mode=root', `--include=${packages.join(',')}`];
  execFileSync('mmdebstrap', [...args, ...extra, release, join(home, `${name}.tar`), mirror()], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000' },
  });
}

/** The Node and npm that run this script, which are those of the tests. */
function addNode() {
  const tree = join(home, 'node-files');
  const npm = dirname(dirname(realpathSync(execFileSync('which', ['npm'], { encoding: 'utf8' }).trim())));
  mkdirSync(join(tree, 'usr/local/bin'), { recursive: true });
  mkdirSync(join(tree, 'usr/local/lib/node_modules'), { recursive: true });
  cpSync(process.execPath, join(tree, 'usr/local/bin/node'));
  cpSync(npm, join(tree, 'usr/local/lib/node_modules/npm'), { recursive: true, dereference: false });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(tree, 'usr/local/bin/npm'));
  return [`--customize-hook=cp -a --no-preserve=ownership "${tree}/usr/local/." "$1/usr/local/"`];
}

async function publish() {
  const registryPort = await freePort();
  const storage = join(home, 'registry.partial');
  writeFileSync(
    join(home, 'registry.yml'),
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${storage}}}\nhttp: {addr: "127.0.0.1:${registryPort}"}\n`,
  );
  const registry = spawn('docker-registry', ['serve', join(home, 'registry.yml')], { stdio: 'ignore' });
  const data = join(home, 'docker');
  const socket = join(data, 'docker.sock');
  mkdirSync(data, { recursive: true });
  const flags = [
    '--data-root',
    join(data, 'data'),
    '--exec-root',
    join(data, 'exec'),
    '--pidfile',
    join(data, 'pid'),
  ];
  const quiet = [
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--insecure-registry',
    `127.0.0.1:${registryPort}`,
  ];
  const daemon = spawn('dockerd', ['-H', `unix://${socket}`, ...flags, ...quiet], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const docker = (...args) =>
    execFileSync('docker', ['-H', `unix://${socket}`, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }).trim();
  try {
    await until(() => docker('version') !== '', 'dockerd');
    const images = {
      busybox: ['sh', ['busybox:latest', 'busybox:stable']],
      debian: ['bash', ['debian:latest', 'debian:stable']],
      gcc: ['bash', ['gcc:latest']],
      node: ['node', ['node:latest', 'node:22']],
    };
    for (const [name, [command, tags]] of Object.entries(images)) {
      const changes = ['-c', `CMD ["${command}"]`, '-c', `ENV PATH=${path}`];
      const id = docker('import', ...changes, join(home, `${name}.tar`));
      for (const tag of tags) {
        const full = `127.0.0.1:${registryPort}/library/${tag}`;
        docker('tag', id, full);
        docker('push', '-q', full);
      }
    }
  } finally {
    daemon.kill('SIGTERM');
    registry.kill('SIGTERM');
    await Promise.all([exited(daemon), exited(registry)]);
    rmSync(data, { recursive: true, force: true });
  }
  renameSync(storage, join(home, 'registry'));
}

function exited(child) {
  return child.exitCode !== null ? undefined : new Promise(resolve => child.once('exit', resolve));
}

async function until(check, what) {
  for (let i = 0; i < 300; i++) {
    try {
      if (check()) return;
    } catch {
      // Not yet.
    }
    await sleep(100);
  }
  throw new Error(`${what} did not start`);
}

function freePort() {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
