// Runs a handler for Coffer: asks the runtime API for events, calls the handler, posts what it returns.
// No packages, Node 12 and later.
import fs from 'fs';
import http from 'http';
import path from 'path';
import util from 'util';
import { createRequire } from 'module';
import { pathToFileURL } from 'url';

const API = '/2018-06-01/runtime/';
const env = process.env;
const descriptor = env._LAMBDA_TELEMETRY_LOG_FD ? Number(env._LAMBDA_TELEMETRY_LOG_FD) : null;
delete env._LAMBDA_TELEMETRY_LOG_FD;
const asJson = env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const [host, port] = env.AWS_LAMBDA_RUNTIME_API.split(':');
let requestId = '';

function writeAll(fd, data) {
  let at = 0;
  while (at < data.length) {
    try {
      at += fs.writeSync(fd, data, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

// Each message stays one event, whatever is in it.
function send(message, level, kind = 0xa55a0003) {
  const data = Buffer.from(message, 'utf8');
  if (descriptor === null) return writeAll(1, Buffer.concat([data, Buffer.from('\n')]));
  const head = Buffer.alloc(16);
  head.writeUInt32BE((kind | level) >>> 0, 0);
  head.writeUInt32BE(data.length, 4);
  head.writeBigUInt64BE(BigInt(Date.now()) * 1000n, 8);
  writeAll(descriptor, Buffer.concat([head, data]));
}

const BITS = { TRACE: 0x4, DEBUG: 0x8, INFO: 0xc, WARN: 0x10, ERROR: 0x14, FATAL: 0x18 };

function log(level, args) {
  const timestamp = new Date().toISOString();
  if (asJson) {
    const message = args.length === 1 && typeof args[0] === 'object' && !(args[0] instanceof Error)
      ? args[0] : util.format(...args);
    const line = { timestamp, level, requestId: requestId || undefined, message };
    send(JSON.stringify(line), BITS[level] & 0x1c, 0xa55a0002);
  } else {
    send(`${timestamp}\t${requestId || 'undefined'}\t${level}\t${util.format(...args)}`, BITS[level]);
  }
}

for (const [name, level] of [['log', 'INFO'], ['info', 'INFO'], ['debug', 'DEBUG'], ['trace', 'TRACE'],
  ['warn', 'WARN'], ['error', 'ERROR']]) {
  console[name] = (...args) => log(level, args);
}

function call(method, where, body, headers = {}) {
  return new Promise((resolve, reject) => {
    if (body !== undefined) headers['Content-Length'] = Buffer.byteLength(body);
    const request = http.request({ host, port, method, path: API + where, headers, agent }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(parts) }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

function described(error) {
  if (!(error instanceof Error) && !(error && error.message && error.stack)) {
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  }
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack || '').split('\n') };
}

function postError(where, error) {
  return call('POST', where, JSON.stringify(error), {
    'Content-Type': 'application/json', 'Lambda-Runtime-Function-Error-Type': error.errorType });
}

function wrong(errorType, errorMessage) {
  return Object.assign(new Error(errorMessage), { name: errorType });
}

async function load(name) {
  const dot = name.lastIndexOf('.');
  if (dot < 1) throw wrong('Runtime.MalformedHandlerName', `Bad handler ${name}`);
  const [module, fn] = [name.slice(0, dot), name.slice(dot + 1)];
  const base = path.resolve(env.LAMBDA_TASK_ROOT, module);
  const file = ['', '.js', '.mjs', '.cjs'].map((end) => base + end)
    .find((candidate) => fs.existsSync(candidate) && fs.statSync(candidate).isFile());
  if (!file) throw wrong('Runtime.ImportModuleError', `Error: Cannot find module '${module}'`);
  let loaded;
  try {
    loaded = file.endsWith('.cjs') || !isModule(file)
      ? createRequire(base)(file) : await import(pathToFileURL(file).href);
  } catch (error) {
    if (error instanceof SyntaxError) throw wrong('Runtime.UserCodeSyntaxError', `SyntaxError: ${error.message}`);
    if (error && /MODULE_NOT_FOUND$/.test(error.code || '')) {
      throw wrong('Runtime.ImportModuleError', `Error: ${error.message}`);
    }
    throw error;
  }
  let found = loaded;
  for (const part of fn.split('.')) found = found === undefined || found === null ? undefined : found[part];
  if (found === undefined && loaded.default) found = loaded.default[fn];
  if (found === undefined) throw wrong('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof found !== 'function') throw wrong('Runtime.HandlerNotFound', `${name} is not a function`);
  return found;
}

// A file is a module by its name, or because the nearest package says so.
function isModule(file) {
  if (file.endsWith('.mjs')) return true;
  for (let place = path.dirname(file); ; place = path.dirname(place)) {
    const described = path.join(place, 'package.json');
    if (fs.existsSync(described)) {
      try {
        return JSON.parse(fs.readFileSync(described, 'utf8')).type === 'module';
      } catch (error) {
        return false;
      }
    }
    if (place === path.dirname(place)) return false;
  }
}

function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const deadline = Number(headers['lambda-runtime-deadline-ms']);
    const given = headers['lambda-runtime-client-context'];
    const callback = (error, result) => (error ? reject(error) : resolve(result));
    const context = {
      functionName: env.AWS_LAMBDA_FUNCTION_NAME,
      functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
      memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
      invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
      awsRequestId: requestId,
      clientContext: given ? JSON.parse(given) : undefined,
      callbackWaitsForEmptyEventLoop: true,
      getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
      done: callback,
      succeed: resolve,
      fail: reject,
    };
    const result = handler(event, context, callback);
    if (result && typeof result.then === 'function') result.then(resolve, reject);
    else if (handler.length < 3 && result !== undefined) resolve(result);
    else if (handler.length < 2) resolve(result);
  });
}

async function main() {
  let handler;
  try {
    handler = await load(env._HANDLER);
  } catch (error) {
    const about = described(error);
    send(`${new Date().toISOString()}\tundefined\tERROR\tUncaught Exception \t${JSON.stringify(about)}`, BITS.ERROR);
    await postError('init/error', about);
    process.exit(1);
  }
  for (;;) {
    const { headers, body } = await call('GET', 'invocation/next');
    requestId = headers['lambda-runtime-aws-request-id'];
    if (headers['lambda-runtime-trace-id']) env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
    let answer;
    let failed = null;
    try {
      answer = await run(handler, JSON.parse(body.toString('utf8')), headers);
      answer = JSON.stringify(answer === undefined ? null : answer);
    } catch (error) {
      failed = described(error);
      log('ERROR', [`Invoke Error \t${JSON.stringify(failed)}`]);
    }
    const where = `invocation/${requestId}/`;
    if (failed) await postError(`${where}error`, failed);
    else await call('POST', `${where}response`, answer, { 'Content-Type': 'application/json' }).catch(() => {});
  }
}

function fatal(error) {
  const about = described(error);
  about.errorType = `Runtime.Unhandled${error instanceof Error ? 'Exception' : 'PromiseRejection'}`;
  log('ERROR', [`Uncaught Exception \t${JSON.stringify(about)}`]);
  postError(requestId ? `invocation/${requestId}/error` : 'init/error', about)
    .catch(() => {}).then(() => process.exit(128 + 1));
}
process.on('uncaughtException', fatal);
process.on('unhandledRejection', fatal);
main().catch(fatal);
