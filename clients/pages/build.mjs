// Bundles the chat page and the console into the Python package `parley`, which serves them.
//
//   node build.mjs            build both once
//   node build.mjs --watch    build again at each change, with source maps
//   node build.mjs --out DIR  build into another folder
import { readFile, mkdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    watch: { type: "boolean", default: false },
    out: { type: "string", default: join(here, "../../local/parley/pages") },
  },
});

/** The largest size, in bytes after gzip, of what a page loads before its first paint and while it is used. */
const PAGES = [
  { name: "chat", title: "chat page", maxGzipBytes: 150 * 1024 },
  { name: "console", title: "console", maxGzipBytes: 150 * 1024 },
];

const preact = join(here, "../node_modules/preact");
const react = join(preact, "compat/dist/compat.mjs");
/** Libraries for React get Preact. */
const REACT = { react, "react-dom": react, "react/jsx-runtime": join(preact, "jsx-runtime/dist/jsxRuntime.mjs") };

/** Return esbuild's options for a page. Files have a hash in their names, so that a browser may keep them for ever. */
function bundleOptions(page) {
  return {
    entryPoints: [join(here, page.name, "main.tsx")],
    outdir: join(options.out, page.name, "assets"),
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    conditions: ["source"],
    alias: REACT,
    loader: { ".svg": "file", ".woff2": "file" },
    minify: !options.watch,
    sourcemap: options.watch ? "linked" : false,
    legalComments: "linked",
    metafile: true,
    logLevel: "warning",
    plugins: [{ name: "index", setup: (build) => build.onEnd((result) => finish(page, result)) }],
  };
}

/** Write the page's index.html with the hashed names, and print the size. Raise an error if the page is too large. */
async function finish(page, result) {
  if (result.errors.length > 0) {
    return;
  }
  const outputs = Object.entries(result.metafile.outputs);
  const [script, entry] = outputs.find(([, output]) => output.entryPoint !== undefined);
  const template = await readFile(join(here, page.name, "index.html"), "utf8");
  const html = template
    .replace("{{script}}", `assets/${basename(script)}`)
    .replace("{{style}}", `assets/${basename(entry.cssBundle ?? "")}`);
  await writeFile(join(options.out, page.name, "index.html"), html);
  const files = outputs.map(([path]) => path).filter((path) => /\.(js|css)$/.test(path));
  const sizes = await Promise.all(files.map(async (path) => gzipSync(await readFile(path)).length));
  const total = sizes.reduce((sum, size) => sum + size, gzipSync(html).length);
  const bound = `${Math.round(page.maxGzipBytes / 1024)} KB at most`;
  console.log(`${page.title}: ${(total / 1024).toFixed(1)} KB gzip in ${files.length + 1} files, ${bound}`);
  if (!options.watch && total > page.maxGzipBytes) {
    throw new Error(`The ${page.title} is too large. \`npx esbuild --analyze\` shows what takes the room.`);
  }
}

for (const page of PAGES) {
  await rm(join(options.out, page.name), { recursive: true, force: true });
  await mkdir(join(options.out, page.name, "assets"), { recursive: true });
  const context = await esbuild.context(bundleOptions(page));
  if (options.watch) {
    await context.watch();
    console.log(`${page.title}: watching ${relative(process.cwd(), join(here, page.name)) || "."}`);
  } else {
    await context.rebuild();
    await context.dispose();
  }
}
