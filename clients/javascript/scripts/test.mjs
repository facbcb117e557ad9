// Runs the tests with Node's own runner. Node 20 does not read TypeScript, so they are written as JavaScript first.
//
//   node scripts/test.mjs [beginning of a file's name] [options of node --test]
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { argv, execPath, versions } from "node:process";
import { fileURLToPath } from "node:url";
import { buildTests } from "../build.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const names = argv.slice(2).filter((each) => !each.startsWith("-"));
const options = argv.slice(2).filter((each) => each.startsWith("-"));
if (Number(versions.node.split(".")[0]) < 22) {
  options.push("--experimental-websocket");
}
// There, so that the tests find what is installed for them.
const folder = await mkdtemp(join(here, "../../node_modules/.tests-"));
try {
  await buildTests(folder);
  const tests = (await readdir(folder, { recursive: true }))
    .filter((path) => path.endsWith(".test.mjs"))
    .filter((path) => names.length === 0 || names.some((name) => path.startsWith(name)));
  const command = ["--test", ...options, ...tests.map((path) => join(folder, path))];
  process.exitCode = spawnSync(execPath, command, { stdio: "inherit" }).status ?? 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
