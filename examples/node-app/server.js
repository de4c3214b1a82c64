// A small web application: a page, a health check, and a greeting whose name comes from the command line.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import mri from 'mri';

const options = mri(process.argv.slice(2), {
  default: { name: 'world', port: Number(process.env.PORT ?? 8080) },
});
const page = fileURLToPath(new URL('public/index.html', import.meta.url));

if (options.check) {
  console.log(`node-app would greet ${options.name} as user ${process.getuid()}`);
  process.exit(0);
}

createServer((request, response) => {
  if (request.url === '/health') return response.end('ok\n');
  if (request.url === '/hello') return response.end(`hello, ${options.name}\n`);
  response.setHeader('content-type', 'text/html; charset=utf-8');
  createReadStream(page).pipe(response);
}).listen(options.port, () => console.log(`listening on ${options.port}`));
