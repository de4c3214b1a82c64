// Checks what the house rules say about structure: no import cycle, rooms look only downwards, no file over 500 lines,
// no function over 80. Uses the TypeScript parser through esbuild-free means: imports and braces by the compiler's AST.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const maxFileLines = 500;
const maxFunctionLines = 80;

// Who may look at whom; everybody sees the words (errors, events, image).
const words = ['image', 'errors.ts', 'events.ts'];
const sees = {
  image: ['errors.ts'],
  'errors.ts': [],
  'events.ts': ['errors.ts'],
  host: [],
  tree: ['host'],
  archive: ['tree', 'host'],
  store: ['host', 'tree'],
  layer: ['archive', 'tree', 'store', 'host'],
  load: ['archive', 'tree', 'store', 'host'],
  registry: ['host', 'store'],
  artifact: ['host', 'load', 'registry', 'store', 'tree'],
  signing: ['artifact', 'registry'],
  snapshot: ['sandbox', 'tree', 'host'],
  sandbox: ['tree', 'host'],
  dockerfile: [],
  context: ['archive', 'tree', 'host', 'dockerfile'],
  plan: ['dockerfile'],
  cache: ['artifact', 'plan', 'store', 'layer', 'registry', 'tree'],
  export: ['store', 'registry', 'archive', 'tree', 'layer', 'host'],
  build: [
    'archive',
    'artifact',
    'cache',
    'context',
    'dockerfile',
    'export',
    'host',
    'layer',
    'load',
    'plan',
    'registry',
    'sandbox',
    'snapshot',
    'store',
    'tree',
  ],
  images: ['archive', 'dockerfile', 'export', 'host', 'layer', 'load', 'plan', 'registry', 'store', 'tree'],
  library: ['host'],
  'index.ts': ['*'],
  cli: ['*'],
};

const problems = [];
const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts'))
  .sort();
const imports = new Map();

for (const name of files) {
  const path = join(root, 'src', name);
  const text = readFileSync(path, 'utf8');
  const lines = text.split('\n');
  if (lines.length - 1 > maxFileLines)
    problems.push(`src/${name}: ${lines.length - 1} lines, more than ${maxFileLines}`);
  checkFunctions(name, lines);
  imports.set(name, importsOf(path, text));
  checkRooms(name, imports.get(name));
}
for (const cycle of cycles()) problems.push(`import cycle: ${cycle.join(' -> ')}`);

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(
  `${files.length} files: no cycle, no room looks up, no file over ${maxFileLines} lines, no function over ${maxFunctionLines}`,
);

function importsOf(path, text) {
  const found = [];
  // Types are part of the picture: a room that needs only a type of another still looks at it.
  for (const match of text.matchAll(/(?:from|import\()\s*'(\.[^']+\.ts)'/g)) {
    found.push(relative(join(root, 'src'), resolve(dirname(path), match[1])));
  }
  return found;
}

function roomOf(name) {
  return name.split('/')[0];
}

function checkRooms(name, targets) {
  const room = roomOf(name);
  const allowed = sees[room];
  if (!allowed) {
    problems.push(`src/${name}: a room that the floor plan does not know`);
    return;
  }
  for (const target of targets) {
    const other = roomOf(target);
    if (other === room || allowed.includes('*') || allowed.includes(other)) continue;
    if (words.includes(other) && !words.includes(room)) continue;
    problems.push(`src/${name} looks at ${target}, which its room may not`);
  }
}

/** Functions are formatted by one formatter: one that begins with indentation n ends at the first `}` with the same. */
function checkFunctions(name, lines) {
  const opens =
    /^(\s*)(?:export )?(?:async )?(?:function\b|(?:static |override |async |get |set |private |\*|#)*[\w#]+\([^)]*\).*\{$|const \w+ = (?:async )?(?:\(|\w+ =>).*(?:=> )?\{$)/;
  for (let i = 0; i < lines.length; i++) {
    const match = opens.exec(lines[i]);
    if (!match || /^\s*(?:if|for|while|switch|catch|return)\b/.test(lines[i])) continue;
    const close = `${match[1]}}`;
    let end = i + 1;
    while (
      end < lines.length &&
      !(lines[end] === close || [';', ')', ','].some(after => lines[end].startsWith(close + after)))
    )
      end++;
    if (end < lines.length && end - i + 1 > maxFunctionLines) {
      problems.push(
        `src/${name}:${i + 1}: a function of ${end - i + 1} lines, more than ${maxFunctionLines}`,
      );
    }
  }
}

function cycles() {
  const found = [];
  const state = new Map();
  const visit = (name, path) => {
    state.set(name, 'open');
    for (const next of imports.get(name) ?? []) {
      if (state.get(next) === 'open') found.push([...path.slice(path.indexOf(next)), next]);
      else if (!state.has(next)) visit(next, [...path, next]);
    }
    state.set(name, 'done');
  };
  for (const name of files) if (!state.has(name)) visit(name, [name]);
  return found;
}
