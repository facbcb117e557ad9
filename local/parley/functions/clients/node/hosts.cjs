'use strict';
// Hosts of AWS that lead to the emulator in a function's process.
//
// The hosts of the template's own APIs and function URLs (`{apiId}.execute-api.{region}.amazonaws.com`,
// `{urlId}.lambda-url.{region}.on.aws`) do so on every connection. The hosts of services do so in HTTP requests, if a
// variable AWS_ENDPOINT_URL… names another endpoint: the SDK for JavaScript v2, and v3 before November 2023, do not read
// these variables. An endpoint that the code names wins, since it is another host. Not covered: programs that the
// function starts, and native libraries.

const http = require('node:http');
const https = require('node:https');
const { syncBuiltinESMExports } = require('node:module');
const net = require('node:net');
const { urlToHttpOptions } = require('node:url');

const API_HOSTS = 'PARLEY_API_HOSTS';
const API_DOMAIN = String.raw`\.(?:execute-api\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)|lambda-url\.[a-z0-9-]+\.on\.aws)\.?`;
const SERVICE = /^(.+?)(\.[a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com(?:\.cn)?$/i;
const BUCKET = /^(.+)\.s3$/i;
const AWS = /\.amazonaws\.com(?:\.cn)?$/i;

/** The services whose variable is not named after their host: "Service-specific endpoints" of the SDKs' guide. */
const NAMES = {
  'api.ecr': 'ECR',
  'streams.dynamodb': 'DYNAMODB_STREAMS',
  events: 'EVENTBRIDGE',
  'execute-api': 'APIGATEWAYMANAGEMENTAPI',
  logs: 'CLOUDWATCH_LOGS',
  monitoring: 'CLOUDWATCH',
  secretsmanager: 'SECRETS_MANAGER',
  states: 'SFN',
  email: 'SES',
};

/** The services that have a host without a region. */
const GLOBAL = ['s3', 'sts', 'iam', 'queue', 'route53', 'cloudfront', 'organizations'];

/** Lead the hosts here. The function does not see the variable with its own APIs. */
function install(environment) {
  const [ids, ...place] = (environment[API_HOSTS] ?? '').split('@');
  delete environment[API_HOSTS];
  if (ids) connectHere(new RegExp(`^(?:${ids.replaceAll(',', '|')})${API_DOMAIN}$`, 'i'), place[0], Number(place[1]));
  for (const library of [http, https]) {
    library.request = redirected(library.request, environment);
    library.get = (...values) => {
      const request = library.request(...values);
      request.end();
      return request;
    };
  }
  syncBuiltinESMExports();
}

/** Let connections to these hosts go to the emulator. TLS still checks the certificate for the host that was named. */
function connectHere(ours, host, port) {
  const { connect } = net.Socket.prototype;
  net.Socket.prototype.connect = function (...values) {
    const list = Array.isArray(values[0]) ? values[0] : values;
    if (ours.test(list[0]?.host ?? '')) list[0] = { ...list[0], host, port };
    else if (typeof list[1] === 'string' && ours.test(list[1])) list.splice(0, 2, port, host);
    return connect.apply(this, values);
  };
}

function redirected(request, environment) {
  return function (...values) {
    const [options, callback] = normal(values);
    const target = targetOf(options, environment);
    if (!target) return request.apply(this, values);
    const library = target.url.protocol === 'https:' ? https : http;
    const headers = Object.entries(options.headers ?? {}).filter(([name]) => name.toLowerCase() !== 'host');
    const { agent, protocol, servername, hostname, ...rest } = options;
    const place = {
      ...rest,
      headers: Object.fromEntries(headers),
      host: target.url.hostname.replace(/^\[|\]$/g, ''),
      port: target.url.port || library.globalAgent.defaultPort,
      path: target.url.pathname.replace(/\/$/, '') + target.bucket + (options.path ?? '/'),
      agent: agentFor(library),
    };
    return originals.get(library)(place, callback);
  };
}

const originals = new Map([
  [http, http.request],
  [https, https.request],
]);
const agents = new Map();

function agentFor(library) {
  if (!agents.has(library)) agents.set(library, new library.Agent({ keepAlive: true }));
  return agents.get(library);
}

/** Return the options and the callback of a call of `request`, which takes a URL before them too. */
function normal([first, second, third]) {
  if (typeof first !== 'string' && !(first instanceof URL)) return [first ?? {}, second];
  const [more, callback] = typeof second === 'function' ? [{}, second] : [second, third];
  try {
    return [{ ...urlToHttpOptions(new URL(first)), ...more }, callback];
  } catch {
    return [{}, callback]; // The library itself says what is wrong.
  }
}

/** Return the URL that stands for a service of AWS's, and the path of the bucket; undefined for any other host. */
function targetOf({ hostname, host }, environment) {
  const match = SERVICE.exec(hostname ?? host ?? '');
  if (!match) return undefined;
  // A bucket in the host becomes a part of the path. Before other services stands what belongs to one account only.
  const bucket = BUCKET.exec(match[1])?.[1];
  const service = bucket ? 's3' : match[1].toLowerCase();
  if (match[2] ? service.includes('.') && !NAMES[service] : !GLOBAL.includes(service)) return undefined;
  const variable = `AWS_ENDPOINT_URL_${NAMES[service] ?? service.toUpperCase().replaceAll('-', '_')}`;
  const named = environment[variable] || environment.AWS_ENDPOINT_URL;
  const url = named && URL.canParse(named) ? new URL(named) : undefined;
  return url && !AWS.test(url.hostname) ? { url, bucket: bucket ? `/${bucket}` : '' } : undefined;
}

module.exports = { install, targetOf };
