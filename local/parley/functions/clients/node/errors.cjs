'use strict';
// Errors of the runtime itself, and errors as Lambda reports them.

const { types } = require('node:util');

/** An error that the runtime finds, named as AWS's runtime names it. */
class RuntimeError extends Error {
  constructor(type, message) {
    super(message);
    this.name = `Runtime.${type}`;
  }
}

/** Return an error as the Runtime API takes it. A handler may throw anything. */
function reported(error) {
  try {
    if (types.isNativeError(error) || (typeof error?.name === 'string' && typeof error?.stack === 'string')) {
      return { errorType: error.name, errorMessage: error.message, trace: error.stack.split('\n') };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return { errorType: 'handled', errorMessage: 'The error that was thrown cannot be read.', trace: [] };
  }
}

module.exports = { RuntimeError, reported };
