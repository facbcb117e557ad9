'use strict';
// The handler of a function, found by its name (`folder/file.export`) and in the order of AWS's runtime
// (aws-lambda-nodejs-runtime-interface-client, UserFunction.js).

const { existsSync, readFileSync, statSync } = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { RuntimeError } = require('./errors.cjs');

const STREAMING = Symbol('streaming');
const TYPESCRIPT_SINCE = 24;

/** Return the handler of this name below the folder of the function's code. */
async function load(root, name, version) {
  globalThis.awslambda = {
    streamifyResponse: (handler) => Object.assign(handler, { [STREAMING]: true }),
    HttpResponseStream: { from: (stream) => stream },
  };
  const [file, property] = parts(name);
  const handler = property.split('.').reduce((found, key) => found?.[key], await loadModule(root, file, version));
  if (handler === undefined || handler === null) {
    throw new RuntimeError('HandlerNotFound', `${name} is undefined or not exported`);
  }
  if (typeof handler !== 'function') throw new RuntimeError('HandlerNotFound', `${name} is not a function`);
  refuse(handler, version);
  return handler;
}

function parts(name) {
  const match = name.includes('..') ? null : /^([^.]*)\.(.*)$/.exec(path.basename(name));
  if (!match) {
    throw new RuntimeError('MalformedHandlerName', `'${name}' is not a valid handler name: FOLDER/FILE.EXPORT is one.`);
  }
  return [path.join(path.dirname(name), match[1]), match[2]];
}

/** Raise the error of a handler that is found, but cannot be called. */
function refuse(handler, version) {
  if (handler[STREAMING]) {
    throw new RuntimeError(
      'StreamingNotEmulated',
      'The handler streams its response (awslambda.streamifyResponse). The emulator takes whole responses only, as ' +
        'WebSocket APIs do: return the response from a plain async handler.',
    );
  }
  if (version >= 24 && handler.length >= 3) {
    throw new RuntimeError(
      'CallbackHandlerDeprecated',
      'From nodejs24.x on, Lambda takes no handlers with a callback as their third parameter. Return a promise.',
    );
  }
}

async function loadModule(root, file, version) {
  const base = path.resolve(root, file);
  try {
    return await loadFile(root, base, version);
  } catch (error) {
    if (error instanceof SyntaxError) throw new RuntimeError('UserCodeSyntaxError', String(error.stack ?? error));
    if (error?.code === 'MODULE_NOT_FOUND') throw new RuntimeError('ImportModuleError', String(error));
    throw error;
  }
}

function loadFile(root, base, version) {
  const isModule = inModulePackage(path.dirname(base));
  const byRequire = (file) => require(file);
  const byImport = (file) => import(pathToFileURL(file));
  const loaders = [
    ['', byRequire],
    ['.js', isModule ? byImport : byRequire],
    ['.mjs', byImport],
    ['.cjs', byRequire],
  ];
  if (version >= TYPESCRIPT_SINCE) loaders.push(['.ts', isModule ? byImport : byRequire], ['.mts', byImport], ['.cts', byRequire]);
  for (const [suffix, read] of loaders) {
    if (isFile(base + suffix)) return read(base + suffix);
  }
  // A package. If there is none, the error is the one that AWS shows.
  return require(require.resolve(path.basename(base), { paths: [root, path.dirname(base)] }));
}

function isFile(file) {
  return existsSync(file) && statSync(file).isFile();
}

/** Return whether the nearest package.json makes a `.js` file an ES module. */
function inModulePackage(folder) {
  const file = path.join(folder, 'package.json');
  if (existsSync(file)) {
    try {
      return JSON.parse(readFileSync(file, 'utf8')).type === 'module';
    } catch {
      return false;
    }
  }
  const above = path.dirname(folder);
  return above !== folder && path.basename(folder) !== 'node_modules' && inModulePackage(above);
}

module.exports = { load };
