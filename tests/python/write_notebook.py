"""Runs the cells of docs/grokking.ipynb and keeps what they print: PYTHONPATH=build/release/python python3 write_notebook.py"""

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs/grokking.ipynb"


def main():
    notebook = json.loads(NOTEBOOK.read_text())
    os.chdir(tempfile.mkdtemp())
    names, count = {"__name__": "__main__"}, 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        count += 1
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            exec(compile("".join(cell["source"]), f"cell {count}", "exec"), names)
        cell["execution_count"] = count
        cell["outputs"] = [{"output_type": "stream", "name": "stdout",
                            "text": text.getvalue().splitlines(keepends=True)}] if text.getvalue() else []
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
