// The same as layers.cjs, for Node before 22.15: hooks run in a thread of their own there, and are asynchronous.

import layers from './layers.cjs';

let found = [];

export function initialize(parents) {
  found = parents;
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (layers.isMissingPackage(error, specifier)) {
      for (const parentURL of found) {
        try {
          return await next(specifier, { ...context, parentURL });
        } catch {
          // The next folder may have it.
        }
      }
    }
    throw error;
  }
}
