'use strict';
// The console of a function: lines with time, request id and level, in the function's log format
// (Lambda developer guide, "Log and monitor Node.js Lambda functions").

const { format } = require('node:util');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

let requestId;

/** Name the invocation that the following lines belong to. */
function begin(id) {
  requestId = id;
}

/** Replace the functions of `console`. Levels below the function's own print nothing. */
function install(environment) {
  const write = environment.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON' ? writeJson : writeText;
  const lowest = LEVELS.indexOf(environment.AWS_LAMBDA_LOG_LEVEL?.toUpperCase());
  for (const [index, level] of LEVELS.entries()) {
    console[level.toLowerCase()] = index < lowest ? () => {} : (...values) => write(level, values);
  }
  console.log = console.info;
}

function writeText(level, values) {
  print(`${new Date().toISOString()}\t${requestId}\t${level}\t${format(...values)}`);
}

function writeJson(level, values) {
  const line = { timestamp: new Date().toISOString(), level, requestId };
  const error = values.find((value) => value instanceof Error);
  const alone = values.length === 1;
  line.message = alone ? values[0] : format(...values);
  if (error && !alone) Object.assign(line, described(error));
  let text;
  try {
    text = JSON.stringify(line, (_, value) => (value instanceof Error ? { ...described(value), ...value } : value));
  } catch {
    text = JSON.stringify({ ...line, message: format(...values) });
  }
  print(text);
}

function described(error) {
  return {
    errorType: error.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: String(error.stack).split('\n'),
  };
}

/** Print one event of the log. A line break within it is `\r`, so that CloudWatch shows one event. */
function print(text) {
  process.stdout.write(`${text.replace(/\n/g, '\r')}\n`);
}

/** Print an error that ends the invocation or the process. */
function failure(title, error) {
  const shown = error instanceof Error ? error : new Error(String(error));
  const fields = { errorType: shown.name, errorMessage: shown.message, code: shown.code, ...shown };
  if (process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON') console.error(shown);
  else console.error(title, `\t${plain({ ...fields, stack: String(shown.stack).split('\n') }, fields)}`);
}

function plain(fields, less) {
  try {
    return JSON.stringify(fields);
  } catch {
    return JSON.stringify({ errorType: less.errorType, errorMessage: less.errorMessage });
  }
}

module.exports = { begin, failure, install };
