// Programs of this machine's own Debian packages as a directory to COPY into a base of the same release: what installs
// things in images is really run, and nothing is fetched.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { must } from './program.ts';

/** Python with pip. The names hold version numbers. */
const pythonPackages =
  /^(?:python3(?:\.\d+)?(?:-minimal)?|libpython3\.\d+-(?:stdlib|minimal)|python3-(?:pip|wheel|setuptools|pkg-resources|distutils|lib2to3))$/;

/** Fills `dir` with python3, pip, setcap and getcap, and the libraries that these need besides the C library. */
export async function copyTools(dir: string): Promise<void> {
  const installed = (await must(['dpkg-query', '-W', '-f', '${db:Status-Status} ${Package}\n', '*python3*']))
    .split('\n')
    .filter(line => line.startsWith('installed '))
    .map(line => line.slice('installed '.length));
  const packages = [...installed.filter(name => pythonPackages.test(name)), 'libcap2-bin'];
  const files = (await must(['dpkg', '-L', ...packages]))
    .split('\n')
    .filter(path => /^\/(?:usr|s?bin)\//.test(path) && !/\/(?:doc|man|locale|lintian)\//.test(path))
    // Programs are below /usr in all releases that there are; /bin and /sbin are links to there.
    .map(path => path.replace(/^\/(s?bin)\//, '/usr/$1/'));
  const libraries = await librariesOf(files.filter(path => /\.so$|\/bin\/python3\.\d+$|cap$/.test(path)));
  const list = join(dirname(dir), 'tools.list');
  const wanted = [...new Set([...files, ...libraries])].filter(path => existsSync(path));
  writeFileSync(list, wanted.map(path => `${path}\n`).join(''));
  mkdirSync(dir);
  await must([
    'sh',
    '-c',
    'tar -C / -h --no-recursion -cf - -T "$0" 2>/dev/null | tar -C "$1" -xf -',
    list,
    dir,
  ]);
}

async function librariesOf(programs: readonly string[]): Promise<string[]> {
  const said = await must(['sh', '-c', 'for f; do ldd "$f" 2>/dev/null; done; true', 'sh', ...programs]);
  const found = [...said.matchAll(/=> (\/\S+)/g)].map(match => match[1] ?? '');
  return found
    .filter(path => !/\/(?:libc|libm|libdl|libpthread|libutil|librt|ld-linux[^/]*)\.so/.test(path))
    .map(path => path.replace(/^\/lib\//, '/usr/lib/'));
}
