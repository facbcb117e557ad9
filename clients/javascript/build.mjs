// Writes dist/: the JavaScript of each entry of `exports` in package.json, and the types. Prints the client's size.
//
//   node build.mjs              build everything
//   node build.mjs --out DIR    build into another folder
//   node build.mjs --tests DIR  write the tests alone, as JavaScript, into a folder
import { execFileSync } from "node:child_process";
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

/** The largest size of the client, in bytes after gzip, without the adapters. */
export const MAX_GZIP_BYTES = 14 * 1024;

const shared = { bundle: true, format: "esm", target: "es2022", packages: "external", logLevel: "warning" };

/** Return the size of the client as a page loads it: minified and after gzip. */
export async function sizeOfClient() {
  const { outputFiles } = await esbuild.build({
    ...shared,
    entryPoints: [join(here, "src/index.ts")],
    minify: true,
    write: false,
  });
  return gzipSync(outputFiles[0].contents).length;
}

async function buildPackage(dist) {
  const { exports } = JSON.parse(await readFile(join(here, "package.json"), "utf8"));
  const entries = Object.values(exports).map(({ source }) => join(here, source));
  await rm(dist, { recursive: true, force: true });
  await esbuild.build({
    ...shared,
    entryPoints: entries,
    outbase: join(here, "src"),
    outdir: dist,
    splitting: true,
    sourcemap: true,
  });
  await buildTypes(dist);
}

async function buildTypes(dist) {
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
  const options = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--stripInternal"];
  const folders = ["--rootDir", join(here, "src"), "--outDir", dist];
  execFileSync(process.execPath, [tsc, "--project", join(here, "tsconfig.build.json"), ...options, ...folders], {
    stdio: "inherit",
  });
  // The sources import each other as .ts, which are not beside the types.
  for (const path of await readdir(dist, { recursive: true })) {
    if (path.endsWith(".d.ts")) {
      const types = await readFile(join(dist, path), "utf8");
      await writeFile(join(dist, path), types.replace(/(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"'));
    }
  }
}

/** Write the tests into a folder. */
export async function buildTests(folder) {
  const tests = (await readdir(join(here, "test"), { recursive: true })).filter((path) => path.endsWith(".test.ts"));
  await esbuild.build({
    ...shared,
    entryPoints: tests.map((path) => join(here, "test", path)),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    outbase: join(here, "test"),
    splitting: true,
    platform: "node",
    sourcemap: "inline",
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { out: { type: "string", default: join(here, "dist") }, tests: { type: "string" } },
  });
  if (values.tests !== undefined) {
    await buildTests(values.tests);
  } else {
    await buildPackage(values.out);
    const size = await sizeOfClient();
    console.log(`client: ${(size / 1024).toFixed(1)} KB gzip, ${MAX_GZIP_BYTES / 1024} KB at most`);
    if (size > MAX_GZIP_BYTES) {
      throw new Error("The client is too large. `npx esbuild --analyze` shows what takes the room.");
    }
  }
}
