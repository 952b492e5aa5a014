"""Functions that nobody should upload: packages that are none, and code that takes what it can get. The server stays as it was.

What a function does to itself is answered as on AWS; what it would do to others is refused; and whoever reads secrets meanwhile does not
notice.
"""

import io
import json
import socket
import stat
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from expect import refused
from packages import zipped
from rotators import TRUST, skip_without_functions

UNREADABLE = "Could not unzip uploaded file. Please check your file, then try to upload again."
OUTSIDE = "The zip file has an entry that leads out of it"


@pytest.fixture(scope="module")
def node(new_node, new_place):
    """A server of its own: what is done to it here would be a nuisance to others."""
    skip_without_functions(new_place())
    made = new_node()
    config = made.place / "coffer.toml"
    config.write_text('[functions]\nisolation = "full"\n')
    made.start(*made.server_words(), "--config", str(config))
    yield made
    assert made.stop() == 0, made.said()
    assert "a defect of Coffer" not in made.said() and "fault of Coffer" not in made.said(), made.said()


@pytest.fixture(scope="module")
def client(node, make_client):
    return lambda service, **more: make_client(node, node.credentials(), service, read_timeout=120, **more)


@pytest.fixture(scope="module")
def functions(client):
    return client("lambda")


@pytest.fixture(scope="module")
def role(client):
    return client("iam").create_role(RoleName="functions", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]


@pytest.fixture(autouse=True)
def _others_do_not_notice(client):
    """During each of these tests somebody else reads a secret, over and over."""
    sm = client("secretsmanager")
    try:
        sm.create_secret(Name="theirs", SecretString="theirs")
    except sm.exceptions.ResourceExistsException:
        pass
    seen, is_over = [], threading.Event()

    def read():
        while not is_over.wait(0.02):
            try:
                seen.append(sm.get_secret_value(SecretId="theirs")["SecretString"])
            except Exception as error:
                seen.append(repr(error))

    reader = threading.Thread(target=read)
    reader.start()
    yield
    is_over.set()
    reader.join()
    assert set(seen) <= {"theirs"}, set(seen)


def entry(name: str, content: bytes = b"x", mode: int = stat.S_IFREG | 0o644) -> bytes:
    """A zip file with one entry of any kind."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as package:
        about = zipfile.ZipInfo(name)
        about.create_system, about.external_attr, about.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
        package.writestr(about, content)
    return held.getvalue()


def bomb() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for number in range(3):
            package.writestr(str(number), bytes(100 << 20))
    return held.getvalue()


def bomb_that_says_it_is_none() -> bytes:
    """Each of its hundred megabytes is one byte, if one believes what stands beside them."""
    return bomb().replace((100 << 20).to_bytes(4, "little"), (1).to_bytes(4, "little"))


BAD_PACKAGES = {
    "no zip": (b"print('hello')", UNREADABLE),
    "half a zip": (zipped()[: len(zipped()) // 2], UNREADABLE),
    "a bomb": (bomb(), "Unzipped size must be smaller than 262144000 bytes"),
    "a bomb that says it is none": (bomb_that_says_it_is_none(), "Unzipped size must be smaller than 262144000 bytes"),
    "a climb": (entry("../../../../tmp/escaped"), OUTSIDE),
    "a climb from within": (entry("a/b/../../../escaped"), OUTSIDE),
    "an absolute path": (entry("/etc/cron.d/escaped"), OUTSIDE),
    "a link to the machine": (entry("link", b"/etc/shadow", stat.S_IFLNK | 0o777), OUTSIDE),
    "a link upwards": (entry("a/link", b"../../..", stat.S_IFLNK | 0o777), OUTSIDE),
    "a device": (entry("device", b"", stat.S_IFCHR | 0o666), "no file, directory or link"),
    "a pipe": (entry("pipe", b"", stat.S_IFIFO | 0o666), "no file, directory or link"),
    "nothing in it": (b"PK\x05\x06" + bytes(18), "Uploaded file must be a non-empty zip"),
}


@pytest.mark.parametrize("kind", BAD_PACKAGES)
def test_a_package_that_is_none(functions, role, new_name, kind):
    package, text = BAD_PACKAGES[kind]
    name = new_name("package").replace("/", "-")
    words = {"FunctionName": name, "Runtime": "python3.11", "Handler": "a.b", "Role": role}
    with refused("InvalidParameterValueException", text):
        functions.create_function(**words, Code={"ZipFile": package})
    with refused("ResourceNotFoundException"):
        functions.get_function(FunctionName=name)
    with refused("InvalidParameterValueException", text):
        functions.publish_layer_version(LayerName=name, Content={"ZipFile": package})
    # One that is there keeps the code that it has.
    before = functions.create_function(**words, Code={"ZipFile": zipped()})
    with refused("InvalidParameterValueException", text):
        functions.update_function_code(FunctionName=name, ZipFile=package)
    after = functions.get_function_configuration(FunctionName=name)
    assert (after["CodeSha256"], after["RevisionId"]) == (before["CodeSha256"], before["RevisionId"])


@pytest.fixture
def run(functions, role, new_name):
    """Makes a function of this code and calls it: what it answers, and what kind of error that is."""

    def run(code: str, event=None, handler: str = "index.handler", runtime: str = "python3.11", file: str = "index.py", **more):
        name = new_name("bad").replace("/", "-")
        words = {"Timeout": 20, "Handler": handler, "Runtime": runtime, **more}
        package = entry(file, code.encode(), stat.S_IFREG | 0o755)
        functions.create_function(FunctionName=name, Role=role, Code={"ZipFile": package}, **words)
        answer = functions.invoke(FunctionName=name, Payload=json.dumps(event))
        assert answer["StatusCode"] == 200
        return answer["Payload"].read(), answer.get("FunctionError")

    return run


HANDLER = "def handler(event, context):\n    "
BAD_CODE = {
    "a module that is not there": ("", "nope.handler", "Runtime.ImportModuleError", "Unable to import module 'nope'"),
    "a handler that is not there": ("", "index.gone", "Runtime.HandlerNotFound", "Handler 'gone' missing on module 'index'"),
    "a handler that is none": ("", "index", "Runtime.MalformedHandlerName", ""),
    "no Python": ("def handler(", "index.handler", "Runtime.UserCodeSyntaxError", ""),
    "an exit": (HANDLER + "import os; os._exit(3)", "index.handler", "Runtime.ExitError", "exit status 3"),
    "an exit before anything": ("import os\nos._exit(4)", "index.handler", "Runtime.ExitError", "exit status 4"),
    "sys.exit": (HANDLER + "import sys; sys.exit(5)", "index.handler", "Runtime.ExitError", "exit status 5"),
    "a signal": (HANDLER + "import os; os.kill(os.getpid(), 11)", "index.handler", "Runtime.ExitError", "signal: segmentation fault"),
    "a hang": (HANDLER + "import time; time.sleep(600)", "index.handler", "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
    "a loop": (HANDLER + "while True: pass", "index.handler", "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
    "seven megabytes": (HANDLER + "return 'x' * 7_000_000", "index.handler", "Function.ResponseSizeTooLarge", "6291556 bytes"),
    "no JSON": (HANDLER + "return {1, 2}", "index.handler", "Runtime.MarshalError", "Unable to marshal response"),
    "memory": (HANDLER + "return len(bytearray(1 << 32))", "index.handler", "MemoryError", ""),
    "a full disk": (
        HANDLER + "f = open('/tmp/f', 'wb')\n    while True: f.write(bytes(1 << 20))",
        "index.handler",
        "OSError",
        "",
    ),
    "gigabytes of output": (HANDLER + "while True: print('x' * 1_000_000)", "index.handler", "Sandbox.Timedout", ""),
    "deep recursion": (HANDLER + "return handler(event, context)", "index.handler", "RecursionError", ""),
}


@pytest.mark.parametrize("kind", BAD_CODE)
def test_code_that_comes_to_grief(run, kind):
    code, handler, error_type, text = BAD_CODE[kind]
    said, failed = run(code, handler=handler, Timeout=2 if error_type == "Sandbox.Timedout" else 20)
    assert failed == "Unhandled"
    said = json.loads(said)
    assert said["errorType"] == error_type and text in said["errorMessage"], said


def test_answers_that_are_no_json_are_passed_on_as_they_are(run):
    """AWS looks into no answer of a runtime; whoever called has to."""
    runtime = """#!/usr/bin/python3
import os, urllib.request as u
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    r = u.urlopen(base + "next")
    u.urlopen(base + r.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", b"{no JSON\\xff")
"""
    assert run(runtime, runtime="provided.al2023", file="bootstrap") == (b"{no JSON\xff", None)


def test_processes_without_end(run, functions):
    said, failed = run(
        "import os, time\n" + HANDLER + "n = 0\n    try:\n        while True:\n"
        "            if os.fork() == 0: os.setsid(); time.sleep(600)\n            n += 1\n    except OSError: return n"
    )
    assert not failed and 0 < int(said) < 64


def test_a_call_fails_alone(functions, role, new_name):
    """Those of other functions, and the next ones of the same, are as good as ever."""
    names = {kind: new_name("beside").replace("/", "-") for kind in ("good", "bad")}
    codes = {"good": "return event", "bad": "import os; os._exit(1)"}
    for kind, name in names.items():
        functions.create_function(
            FunctionName=name, Role=role, Runtime="python3.11", Handler="index.handler", Code={"ZipFile": zipped(HANDLER + codes[kind], "index.py")}
        )

    def call(number: int):
        kind = "bad" if number % 2 else "good"
        answer = functions.invoke(FunctionName=names[kind], Payload=json.dumps(number))
        return kind, answer.get("FunctionError"), json.loads(answer["Payload"].read())

    with ThreadPoolExecutor(4) as pool:
        for number, (kind, failed, said) in enumerate(pool.map(call, range(12))):
            assert (said == number and not failed) if kind == "good" else failed == "Unhandled", said


#: Each is tried, and the answer is how that was refused.
ATTEMPTS = {
    "the server's memory": "open('/proc/{server}/mem', 'rb').read(1)",
    "the server's variables": "open('/proc/{server}/environ').read()",
    "the keyfile": "open('{keyfile}', 'rb').read()",
    "the store": "os.listdir('{data}')",
    "the administrator's key": "open('{data}/bootstrap/credentials').read()",
    "the control socket": "unix('{data}/control.sock')",
    "other functions": "os.listdir('{data}/functions')",
    "its own code": "open('/var/task/index.py', 'w')",
    "its runtime": "open('/var/runtime/bootstrap.py', 'w')",
    "the machine's people": "open('/etc/shadow').read()",
    "a home": "os.listdir('/root')",
    "the server's port": "connect('127.0.0.1', {port})",
    "another port of the machine": "connect('127.0.0.1', {other})",
    "the machine by another address": "connect('127.0.0.2', {other})",
    "the credentials of a cloud's machine": "connect('169.254.169.254', 80)",
    "the world": "connect('192.0.2.1', 443)",
    "a name": "connect('example.com', 443)",
    "a signal": "os.kill({server}, 0)",
    "root": "os.setuid(0)",
    "a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
}
TRY = """
import os, socket
def connect(host, port): return socket.create_connection((host, port), 1)
def unix(path): socket.socket(socket.AF_UNIX).connect(path)
def handler(event, context):
    said = {}
    for name, text in event.items():
        try: said[name] = "done: " + repr(eval(text))
        except BaseException as error: said[name] = "refused: " + type(error).__name__
    return said
"""


def test_a_function_reaches_nothing_of_the_server_and_the_machine(run, node):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = {
            "server": node.process_id(),
            "keyfile": node.keyfile,
            "data": node.data_dir,
            "port": int(node.endpoint.rsplit(":", 1)[1]),
            "other": listener.getsockname()[1],
        }
        attempts = {name: text.format(**where) for name, text in ATTEMPTS.items()}
        said, failed = run(TRY, event=attempts, Timeout=60)
        assert not failed, said
        said = json.loads(said)
        assert {name: text for name, text in said.items() if not text.startswith("refused")} == {}
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
