"""Compares every answer on the wire with the published service model.

SDKs forgive a lot: an unknown member is dropped, a number that arrives as text may pass. Other SDKs forgive other things, so what one of
them lets through is no proof. This looks at the bytes before botocore does: members the model does not have, wrong types, nulls,
timestamps that are not numbers, values that are too short, errors that an operation does not declare.

It knows the JSON protocol of AWS and nothing of any service.
"""

import base64
import binascii
import json
import re

REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CONTENT_TYPE = "application/x-amz-json-1.1"
# Seconds since 1970 with at most milliseconds, written plainly.
TIMESTAMP = re.compile(r"\d{1,11}(\.\d{1,3})?")
DENIED = "AccessDeniedException"

# Every other refusal is a 400, that of a missing secret too.
STATUS = {"InternalServiceError": 500, "ServiceUnavailable": 503, "RequestEntityTooLargeException": 413}


class Number(str):
    """A JSON number as it was written, because 1.5e9 and 1500000000 differ on the wire only."""


def complaints_about(operation, status: int, headers, body: bytes) -> list[str]:
    """What is wrong with an answer to an operation of a botocore service model; empty if it conforms."""
    found = []
    if not REQUEST_ID.fullmatch(headers.get("x-amzn-requestid", "")):
        found.append("x-amzn-RequestId is missing or no UUID")
    if headers.get("content-type") != CONTENT_TYPE:
        found.append(f"Content-Type is {headers.get('content-type')}")
    try:
        value = json.loads(body, parse_int=Number, parse_float=Number, object_pairs_hook=_object)
    except (ValueError, UnicodeDecodeError) as error:
        return [*found, f"the body is not JSON: {error}"]
    if status >= 300:
        return found + _error(operation, status, value)
    if status != 200:
        found.append(f"the status is {status}")
    if operation.output_shape is None:
        return found + ([] if value == {} else ["a body with members, and the model has none"])
    return found + _value(operation.output_shape, value, operation.output_shape.name)


def _object(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"a key twice in {keys}")
    return dict(pairs)


SILENT = {
    "ExpiredImportTokenException",
    "IncorrectKeyMaterialException",
    "InvalidCiphertextException",
    "InvalidImportTokenException",
    "KMSInvalidMacException",
    "KMSInvalidSignatureException",
    "UnsupportedOperationException",
}


def _error(operation, status, value):
    if not isinstance(value, dict) or not isinstance(value.get("__type"), str):
        return ["an error without __type"]
    code = value["__type"]
    members = set(value) - {"__type"}
    modelled = {shape.error_code: shape for shape in operation.service_model.error_shapes}
    found = []
    if code not in modelled or code == DENIED:
        # Errors of the layer in front are in no model. All but a denial spell their text in lower case. Some models have a denial, for
        # what else their service may not do.
        text = "Message" if code == DENIED else "message"
        if members != {text}:
            found.append(f"{code} has members {sorted(members)} and should have {text}")
    else:
        if code not in {shape.error_code for shape in operation.error_shapes}:
            found.append(f"{operation.name} does not declare {code}")
        # A model that names no member leaves it to the protocol, whose word is in lower case.
        text = next((name for name in modelled[code].members if name.lower() == "message"), "message")
        # Where AWS has nothing to say it leaves the text out.
        if members != {text} and (members or code not in SILENT):
            found.append(f"{code} has members {sorted(members)} and should have {text}")
    if not all(type(value[name]) is str and value[name] for name in members):
        found.append(f"{code} has an empty text")
    if status != STATUS.get(code, 400):
        found.append(f"{code} comes with status {status}")
    return found


def _value(shape, value, path):
    if value is None:
        return [f"{path} is null; what is absent has to be absent"]
    return _KINDS[shape.type_name](shape, value, path)


def _structure(shape, value, path):
    if not isinstance(value, dict):
        return [f"{path} is no object"]
    found = [f"{path}.{name} is not in the model" for name in value if name not in shape.members]
    found += [f"{path}.{name} is missing" for name in shape.required_members if name not in value]
    for name, member in shape.members.items():
        if name in value:
            found += _value(member, value[name], f"{path}.{name}")
    return found


def _list(shape, value, path):
    if not isinstance(value, list):
        return [f"{path} is no list"]
    found = _least(shape, len(value), path)
    for index, element in enumerate(value):
        found += _value(shape.member, element, f"{path}[{index}]")
    return found


def _map(shape, value, path):
    if not isinstance(value, dict):
        return [f"{path} is no map"]
    found = []
    for key, element in value.items():
        found += _value(shape.key, key, f"{path} key {key}") + _value(shape.value, element, f"{path}.{key}")
    return found


def _string(shape, value, path):
    if type(value) is not str:
        return [f"{path} is no string"]
    found = _least(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        found.append(f"{path} is {value}, and the model knows {shape.enum}")
    return found


def _blob(shape, value, path):
    if type(value) is not str:
        return [f"{path} is no string"]
    try:
        return _least(shape, len(base64.b64decode(value, validate=True)), path)
    except binascii.Error:
        return [f"{path} is no base64 with padding"]


def _boolean(shape, value, path):
    return [] if isinstance(value, bool) else [f"{path} is no boolean"]


def _integer(shape, value, path):
    if not isinstance(value, Number) or not re.fullmatch(r"-?\d+", value):
        return [f"{path} is no integer"]
    return _least(shape, int(value), path)


def _timestamp(shape, value, path):
    is_one = isinstance(value, Number) and TIMESTAMP.fullmatch(value)
    return [] if is_one else [f"{path} is {value!r}, no number of seconds with at most milliseconds"]


def _least(shape, size, path):
    # Only the lower bound: the model itself allows a request a name of 512 characters and its answer one of 256.
    least = shape.metadata.get("min", size)
    return [] if size >= least else [f"{path} has size {size}, below {least}"]


_KINDS = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "blob": _blob,
    "boolean": _boolean,
    "integer": _integer,
    "long": _integer,
    "timestamp": _timestamp,
}


class Watch:
    """Checks every answer to the clients that it is attached to, and counts them."""

    def __init__(self):
        self.answers = 0
        self.complaints = []

    def attach(self, client):
        if client.meta.service_model.metadata["protocol"] == "json":
            client.meta.events.register("before-parse", self._look)

    def _look(self, operation_model, response_dict, **_):
        self.answers += 1
        headers = {name.lower(): value for name, value in response_dict["headers"].items()}
        found = complaints_about(operation_model, response_dict["status_code"], headers, response_dict["body"])
        self.complaints += [f"{operation_model.name}: {complaint}" for complaint in found]
