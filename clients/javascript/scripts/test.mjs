// Runs the tests with Node's own runner. Node 20 does not read TypeScript, so they are written as JavaScript first.
//
//   node scripts/test.mjs [--only BEGINNING_OF_FILE_NAME] [options of node --test]
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { argv, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { buildTests } from "../build.mjs";

const here = dirname(fileURLToPath(import.meta.url));
// There, so that the tests find what is installed for them.
const folder = await mkdtemp(join(here, "../../node_modules/.tests-"));
try {
  await buildTests(folder);
  const [only, given] = argv[2] === "--only" ? [argv[3], argv.slice(4)] : ["", argv.slice(2)];
  const files = await readdir(folder, { recursive: true });
  const tests = files.filter((path) => path.startsWith(only) && path.endsWith(".test.mjs"));
  const options = ["--test", ...given, ...tests.map((path) => join(folder, path))];
  process.exitCode = spawnSync(execPath, options, { stdio: "inherit" }).status ?? 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
