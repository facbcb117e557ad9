'use strict';
// The Runtime API client of functions in Node.js, written for the emulator. It follows AWS's own in what a handler can
// see (aws-lambda-nodejs-runtime-interface-client): callbacks, promises, the context, errors, the console.

const { RuntimeError } = require('./errors.cjs');
const { load } = require('./handler.cjs');
const hosts = require('./hosts.cjs');
const layers = require('./layers.cjs');
const log = require('./log_lines.cjs');
const { RuntimeApi } = require('./runtime_api.cjs');

const environment = process.env;
const api = new RuntimeApi(environment.AWS_LAMBDA_RUNTIME_API);
const version = Number(/nodejs(\d+)/.exec(environment.AWS_EXECUTION_ENV)?.[1] ?? 0);
const HAS_CALLBACKS = version < 24;

/** The id of the running invocation: undefined before the first one, null between events. */
let running;
/** What is done when the event loop has nothing left to do. */
let whenIdle = () => {};

async function main() {
  log.install(environment);
  hosts.install(environment);
  layers.install(environment);
  process.on('uncaughtException', (error) => end('Uncaught Exception', error, 129));
  process.on('unhandledRejection', (reason) => {
    end('Unhandled Promise Rejection', new RuntimeError('UnhandledPromiseRejection', String(reason)), 128);
  });
  process.on('beforeExit', () => whenIdle());
  try {
    const handler = await load(environment.LAMBDA_TASK_ROOT, environment._HANDLER, version);
    listen(handler);
  } catch (error) {
    end('Uncaught Exception', error, 129);
  }
}

/** Report an error that nothing has caught, and end the process. */
function end(title, error, status) {
  log.failure(title, error);
  const exit = () => process.exit(status);
  if (running === null) exit();
  else api.fail(running, error).then(exit, exit);
}

function listen(handler) {
  api.next().then((event) => handle(handler, event), () => process.exit(1));
}

function handle(handler, { headers, body }) {
  const id = (running = headers['lambda-runtime-aws-request-id']);
  log.begin(id);
  environment._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'] ?? '';
  const invocation = new Invocation(id, () => setImmediate(listen, handler));
  whenIdle = () => invocation.runDry(handler);
  try {
    const given = [JSON.parse(body), invocation.context(headers)];
    const result = handler(...given, ...(HAS_CALLBACKS ? [invocation.callback] : []));
    if (typeof result?.then === 'function') result.then(invocation.succeed, invocation.fail);
    else if (!HAS_CALLBACKS) invocation.succeed(result);
  } catch (error) {
    invocation.fail(error);
  }
}

/** One event that the handler works on. The first of its outcomes counts. */
class Invocation {
  constructor(id, next) {
    this.id = id;
    this.next = next;
    this.decided = false;
    this.waits = true;
    this.succeed = this.#first((result) => this.#answer(result));
    this.fail = this.#first((error) => this.#refuse(error ?? 'handled'));
    this.done = this.#first((error, result) => (error == null ? this.#answer(result) : this.#refuse(error)));
    // A callback's response is sent when the event loop is empty, unless the context says otherwise.
    this.callback = this.#first((error, result) => {
      if (error != null) this.#refuse(error);
      else if (this.waits) whenIdle = () => setImmediate(() => this.#answer(result));
      else this.#answer(result);
    });
  }

  context(headers) {
    const deadline = Number(headers['lambda-runtime-deadline-ms']);
    const context = {
      functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
      functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
      memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
      awsRequestId: this.id,
      invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
      clientContext: parsed(headers['lambda-runtime-client-context']),
      identity: parsed(headers['lambda-runtime-cognito-identity']),
      getRemainingTimeInMillis: () => deadline - Date.now(),
    };
    if (!HAS_CALLBACKS) return context;
    Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
      enumerable: true,
      get: () => this.waits,
      set: (value) => (this.waits = value),
    });
    return Object.assign(context, { succeed: this.succeed, fail: this.fail, done: this.done });
  }

  /** End the invocation because nothing is left that could: no timer, no connection, no promise that will settle. */
  runDry(handler) {
    if (this.decided) return;
    if (handler.constructor.name === 'AsyncFunction') {
      this.fail(new RuntimeError('NodeJsExit', "Nothing is left to run, but the handler's promise was never settled."));
    } else {
      this.succeed(null);
    }
  }

  #first(act) {
    return (...values) => {
      if (this.decided) return;
      this.decided = true;
      act(...values);
    };
  }

  #answer(result) {
    let json;
    try {
      json = JSON.stringify(result === undefined ? null : result);
    } catch {
      return this.#refuse(new Error('Unable to stringify response body'));
    }
    return this.#end(api.respond(this.id, json ?? 'null'));
  }

  #refuse(error) {
    log.failure('Invoke Error', error);
    this.#end(api.fail(this.id, error));
  }

  #end(sent) {
    whenIdle = () => {};
    sent.then(() => {
      running = null;
      this.next();
    }, () => process.exit(1));
  }
}

function parsed(json) {
  return json === undefined ? undefined : JSON.parse(json);
}

main();
