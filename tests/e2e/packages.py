"""Zip files, as people upload them."""

import io
import zipfile

ECHO = "def lambda_handler(event, context):\n    return event\n"


def zipped(code: str = ECHO, name: str = "lambda_function.py") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as package:
        # The time of the file is in the zip, and two zips of one code are to be the same.
        package.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), code)
    return held.getvalue()
