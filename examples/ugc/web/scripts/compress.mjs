// Writes a .br and a .gz beside each built file that gains from it, so that
// the server only has to choose.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const root = new URL('../static/dist', import.meta.url).pathname;
const texts = /\.(html|js|css|svg|txt|json)$/;

for (const entry of readdirSync(root, { recursive: true })) {
  const path = join(root, String(entry));
  if (!texts.test(path) || !statSync(path).isFile()) continue;
  const data = readFileSync(path);
  const made = {
    br: brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: data.length } }),
    gz: gzipSync(data, { level: 9 }),
  };
  for (const [ext, bytes] of Object.entries(made)) {
    if (bytes.length < data.length * 0.95) writeFileSync(`${path}.${ext}`, bytes);
  }
}
