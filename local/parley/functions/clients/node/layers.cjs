'use strict';
// Packages of layers for ES modules. `require` searches the folders of NODE_PATH by itself; `import` does not, but on
// AWS it does (AWS blog, "Node.js 18.x runtime now available in AWS Lambda").

const { existsSync } = require('node:fs');
const nodeModule = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

/** Return the URLs from which Node finds the packages of NODE_PATH. */
function parents(environment) {
  return (environment.NODE_PATH ?? '')
    .split(path.delimiter)
    .filter((folder) => path.basename(folder) === 'node_modules' && existsSync(folder))
    .map((folder) => pathToFileURL(path.join(path.dirname(folder), 'index.js')).href);
}

function install(environment) {
  const found = parents(environment);
  if (!found.length) return;
  if (nodeModule.registerHooks) {
    nodeModule.registerHooks({ resolve: (...values) => resolve(found, ...values) });
  } else {
    nodeModule.register(pathToFileURL(path.join(__dirname, 'layers.mjs')), { data: found });
  }
}

/** Resolve a package at its usual places, then at those of NODE_PATH. */
function resolve(found, specifier, context, next) {
  try {
    return next(specifier, context);
  } catch (error) {
    if (isMissingPackage(error, specifier)) {
      for (const parentURL of found) {
        try {
          return next(specifier, { ...context, parentURL });
        } catch {
          // The next folder may have it.
        }
      }
    }
    throw error;
  }
}

function isMissingPackage(error, specifier) {
  return error?.code === 'ERR_MODULE_NOT_FOUND' && !/^(?:[./]|[a-z]+:)/i.test(specifier);
}

module.exports = { install, isMissingPackage };
