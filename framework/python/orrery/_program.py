"""Runs the program `orrery`, for what forks processes, and may not do so in a Python with threads."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

from ._report import Report
from .errors import Error, Interrupted, UsageError

_PROGRESS = re.compile(r"([\d,]+)/([\d,]+)(?:  \S+ steps/s  ETA \S+)?  (.*)")


def program():
    """The program of this build or installation, else that of PATH."""
    here = Path(__file__).resolve().parent
    for folder in (here.parents[1], here.parents[3]):  # build/release/python/orrery, PREFIX/lib/orrery/python/orrery
        if (found := folder / "bin/orrery").exists():
            return str(found)
    if found := shutil.which("orrery"):
        return found
    raise UsageError("the program `orrery` is neither beside this package nor in PATH",
                     "build it with ./orrery build, or put its folder into PATH")


class _Messages:
    """Sorts what the program writes: progress, warnings, an error, and notes."""

    def __init__(self, report):
        self.report = report
        self.error = []
        self.warned = []
        self.notes = []
        self._open = None  # what the indented lines that follow belong to

    def line(self, text):
        if self._open is not None and text.startswith("  "):
            self._open.append(text.strip())
            return
        self.close()
        if found := _PROGRESS.fullmatch(text):
            done, total = (int(number.replace(",", "")) for number in found.groups()[:2])
            self.report.show(done, total, "steps", found[3])
        elif text.startswith("error: "):
            self.error = self._open = [text[len("error: "):]]
        elif text.startswith("warning: "):
            self.warned = self._open = [text[len("warning: "):]]
        else:
            self.notes.append(text)
            self.report.note(text)

    def close(self):
        warned, self.warned, self._open = self.warned, [], None
        if warned:
            self.report.warning(warned[0], "\n  ".join(warned[1:]))


def run(arguments, progress=None, stopped="stopped", well_with=None):
    """Runs it to its end: (what it printed, its notes). Raises what it says is an error.

    An exit code but 0 is an error, too; 1 is none after a note that the pattern `well_with` matches.

    An interrupt is passed on, and it stops as it does in a terminal; a second one ends it at once. Then this raises
    orrery.Interrupted with the text `stopped`.
    """
    with Report(progress) as report:
        said = _Messages(report)
        process = subprocess.Popen([program(), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, errors="replace", start_new_session=True)
        interrupted = None
        while True:
            try:
                for text in process.stderr:
                    said.line(text.rstrip("\n"))
                printed = process.stdout.read()
                code = process.wait()
                break
            except BaseException as error:  # a warning that is an error, too
                interrupted = interrupted or error
                process.send_signal(signal.SIGINT)
        process.stdout.close()
        process.stderr.close()
        said.close()
    if isinstance(interrupted, KeyboardInterrupt):
        raise Interrupted(stopped) from interrupted
    if interrupted is not None:
        raise interrupted
    if said.error:
        raise (UsageError if code == 2 else Error)(said.error[0], "\n  ".join(said.error[1:]))
    if code < 0:
        raise Error(f"orrery {arguments[0]}: its process was ended by {signal.Signals(-code).name}",
                    "what is done is kept; call it again to go on")
    if code == 1 and well_with and any(re.match(well_with, note) for note in said.notes):
        return printed, said.notes
    if code != 0:
        silent = "" if said.notes else ", without a word"
        raise Error(f"orrery {arguments[0]}: it ended with exit code {code}{silent}", "\n  ".join(said.notes[-3:]))
    return printed, said.notes
