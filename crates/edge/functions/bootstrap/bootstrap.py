# Runs a handler for Coffer: asks the runtime API for events, calls the handler, posts what it returns.
# Standard library only, Python 3.6 and later.
import http.client
import importlib
import io
import json
import logging
import os
import sys
import time
import traceback

API = "/2018-06-01/runtime/"
TEXT, JSON_TEXT = 0xA55A0003, 0xA55A0002
LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}


class Frames:
    """Where log messages go: each stays one event, whatever is in it."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def send(self, message, kind=TEXT):
        data = message.encode("utf-8", "replace")
        head = kind.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        head += int(time.time() * 1000000).to_bytes(8, "big")
        data = memoryview(head + data)
        while data:
            data = data[os.write(self.descriptor, data):]


class Printed(io.TextIOBase):
    """Standard output: one event for each line."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, frames, descriptor):
        self.frames, self.descriptor, self.rest = frames, descriptor, ""

    def writable(self):
        return True

    def fileno(self):
        return self.descriptor

    def write(self, text):
        lines = (self.rest + text).split("\n")
        self.rest = lines.pop()
        for line in lines:
            self.frames.send(line)
        if len(self.rest) > 65536:
            self.finish()
        return len(text)

    def finish(self):
        if self.rest:
            self.frames.send(self.rest)
            self.rest = ""


class ToFrames(logging.Handler):
    def __init__(self, frames, as_json):
        super().__init__()
        self.frames, self.as_json, self.request_id = frames, as_json, None
        self.setFormatter(logging.Formatter())

    def emit(self, record):
        try:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            message = record.getMessage()
            trace = self.formatter.formatException(record.exc_info) if record.exc_info else None
            if self.as_json:
                line = {"timestamp": stamp + "Z", "level": record.levelname, "message": message, "logger": record.name}
                if trace:
                    line["stackTrace"] = trace.split("\n")
                    line["errorType"] = record.exc_info[0].__name__
                    line["errorMessage"] = str(record.exc_info[1])
                if self.request_id:
                    line["requestId"] = self.request_id
                self.frames.send(json.dumps(line, default=str), JSON_TEXT)
                return
            text = "[%s]\t%s.%03dZ\t%s\t%s" % (
                record.levelname, stamp, record.msecs, self.request_id or "", message)
            self.frames.send(text + "\n" + trace if trace else text)
        except Exception:
            self.handleError(record)


class Identity:
    cognito_identity_id = None
    cognito_identity_pool_id = None


class Client:
    def __init__(self, fields):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, fields.get(name))


class ClientContext:
    def __init__(self, fields):
        self.custom = fields.get("custom")
        self.env = fields.get("env")
        self.client = Client(fields.get("client") or {})


class Context:
    def __init__(self, headers, frames):
        env = os.environ
        self.function_name = env.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = env.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = env.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.identity = Identity()
        given = headers.get("Lambda-Runtime-Client-Context")
        self.client_context = ClientContext(json.loads(given)) if given else None
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])
        self._frames = frames

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message):
        self._frames.send(str(message))


class Runtime:
    def __init__(self):
        host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port))

    def call(self, method, path, body=None, headers=None):
        self.connection.request(method, API + path, body=body, headers=headers or {})
        response = self.connection.getresponse()
        return response.headers, response.read()

    def post_error(self, path, error):
        self.call("POST", path, json.dumps(error).encode(), {
            "Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": error["errorType"]})


def failure(kind, message, stack=(), request_id=""):
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": list(stack)}


def load(name):
    """The handler, or what is wrong with it."""
    module, dot, function = name.rpartition(".")
    if not dot or not module:
        return None, failure("Runtime.MalformedHandlerName",
                             "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    module = module.replace("/", ".")
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        return None, failure("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, error))
    except SyntaxError as error:
        stack = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        return None, failure("Runtime.UserCodeSyntaxError",
                             "Syntax error in module '%s': %s" % (module, error), stack)
    except Exception as error:
        return None, described(error, "")
    if not hasattr(loaded, function):
        return None, failure("Runtime.HandlerNotFound",
                             "Handler '%s' missing on module '%s'" % (function, module))
    return getattr(loaded, function), None


def described(error, request_id):
    ours = os.path.abspath(__file__)
    frames = [f for f in traceback.extract_tb(error.__traceback__)
              if os.path.abspath(f.filename) != ours and not f.filename.startswith("<frozen importlib")]
    return failure(type(error).__name__, str(error), traceback.format_list(frames), request_id)


def report(frames, error):
    lines = ["[ERROR] %s: %s" % (error["errorType"], error["errorMessage"])]
    if error["stackTrace"]:
        lines.append("Traceback (most recent call last):")
        lines += [line.rstrip("\n") for line in error["stackTrace"]]
    frames.send("\n".join(lines), TEXT | 0x14)


def main():
    descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    frames = Frames(int(descriptor) if descriptor else 1)
    sys.stdout = Printed(frames, 1)
    sys.stderr = Printed(frames, 2)
    as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
    handler = ToFrames(frames, as_json)
    logging.getLogger().addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if as_json and level in LEVELS:
        logging.getLogger().setLevel(LEVELS[level])
    root = os.environ["LAMBDA_TASK_ROOT"]
    # What the interpreter looked at first is where this file is, which is nobody's business.
    sys.path[0] = root
    runtime = Runtime()
    function, error = load(os.environ["_HANDLER"])
    if error:
        report(frames, error)
        runtime.post_error("init/error", error)
        sys.exit(1)
    while True:
        headers, body = runtime.call("GET", "invocation/next")
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        handler.request_id = request_id
        trace = headers.get("Lambda-Runtime-Trace-Id")
        if trace:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        path = "invocation/%s/" % request_id
        error = answer = None
        try:
            event = json.loads(body.decode("utf-8"))
        except Exception as problem:
            error = failure("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % problem, (), request_id)
        if error is None:
            try:
                answer = function(event, Context(headers, frames))
            except Exception as problem:
                error = described(problem, request_id)
        if error is None:
            try:
                answer = json.dumps(answer).encode("utf-8")
            except Exception as problem:
                error = failure("Runtime.MarshalError", "Unable to marshal response: %s" % problem, (), request_id)
        sys.stdout.finish()
        sys.stderr.finish()
        if error:
            report(frames, error)
            runtime.post_error(path + "error", error)
        else:
            try:
                runtime.call("POST", path + "response", answer, {"Content-Type": "application/json"})
            except (OSError, http.client.HTTPException):
                # Coffer reads no more than it takes.
                runtime.connection.close()
        event = answer = None


if __name__ == "__main__":
    main()
