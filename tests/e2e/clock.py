"""A clock of its own for a server, which a test moves on, so that what happens after minutes is seen after moments.

A library that is loaded before others adds to what the machine says it is. The clock that measures how long something takes is left
alone. It is compiled here; a machine without a C compiler is told so, and the tests that need one are skipped.
"""

import datetime
import os
import shutil
import struct
import subprocess
from pathlib import Path

import botocore.auth
import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const long *ahead;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_AHEAD");
    int file = path ? open(path, O_RDONLY) : -1;
    void *place = file < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (place == MAP_FAILED) abort();
    close(file);
    ahead = place;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = syscall(SYS_clock_gettime, clock, now);
    if (!done && clock == CLOCK_REALTIME && ahead) now->tv_sec += *ahead;
    return done;
}
"""


class Clock:
    def __init__(self, place: Path):
        compiler = shutil.which("cc")
        if not compiler:
            pytest.skip("there is no C compiler on this machine")
        source, library, self._file = place / "clock.c", place / "clock.so", place / "ahead"
        source.write_text(SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True, capture_output=True)
        self._file.write_bytes(struct.pack("l", 0))
        self.around = ("env", f"LD_PRELOAD={library}", f"CLOCK_AHEAD={self._file}")
        self.seconds = 0

    def move(self, seconds: int) -> None:
        self.seconds += seconds
        with open(self._file, "r+b") as file:
            os.pwrite(file.fileno(), struct.pack("l", self.seconds), 0)

    def now(self, remove_tzinfo: bool = True) -> datetime.datetime:
        """What it is there: for whoever signs requests."""
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.seconds)
        return now.replace(tzinfo=None) if remove_tzinfo else now

    def sign_by(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(botocore.auth, "get_current_datetime", self.now)
