// Bundles the examples into a folder: node examples/build.mjs FOLDER
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = argv[2] ?? join(here, "../dist/examples");
const shared = { bundle: true, format: "esm", target: "es2022", conditions: ["source"], logLevel: "warning" };

await mkdir(folder, { recursive: true });
await esbuild.build({
  ...shared,
  entryPoints: [join(here, "react-chat/main.tsx")],
  outdir: folder,
  jsx: "automatic",
  minify: true,
  define: { "process.env.NODE_ENV": '"production"' },
});
await copyFile(join(here, "react-chat/index.html"), join(folder, "index.html"));
// What AG-UI is made of is written for Node's `require`.
const banner = { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' };
await esbuild.build({ ...shared, entryPoints: [join(here, "ag-ui.ts")], outfile: join(folder, "ag-ui.mjs"), platform: "node", banner });
