'use strict';
// A client of the Lambda Runtime API (Lambda developer guide, "Using the Lambda runtime API for custom runtimes").

const http = require('node:http');
const { reported } = require('./errors.cjs');

// Kept now: `request` is replaced before the function's own code runs.
const { request } = http;

class RuntimeApi {
  /** `address` is host and port, and the path before all others, as `127.0.0.1:4000/secret`. */
  constructor(address) {
    const [, host, port, path] = /^(.+?):(\d+)(\/.*)?$/.exec(address);
    this.place = { host, port, agent: new http.Agent({ keepAlive: true, maxSockets: 1 }) };
    this.root = `${path ?? ''}/2018-06-01/runtime`;
  }

  /** Wait for the next event. Return its headers and its body. */
  next() {
    return this.#call('GET', '/invocation/next');
  }

  respond(id, json) {
    return this.#call('POST', `/invocation/${id}/response`, json);
  }

  /** Report why the invocation has failed; without an id: why the function does not start. */
  fail(id, error) {
    return this.#call('POST', id ? `/invocation/${id}/error` : '/init/error', JSON.stringify(reported(error)));
  }

  #call(method, path, body) {
    const headers = body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const call = request({ ...this.place, method, path: this.root + path, headers }, (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('end', () => resolve({ headers: answer.headers, body: Buffer.concat(parts).toString() }));
        answer.on('error', reject);
      });
      call.on('error', reject);
      call.end(body);
    });
  }
}

module.exports = { RuntimeApi };
