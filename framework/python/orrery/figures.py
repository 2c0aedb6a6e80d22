"""Figures that probes recorded, in Plotly's form."""

import numpy as np

_COLUMNS = 3


def _plain(values):
    """As JSON has it: NaN and infinities are null."""
    array = np.asarray(values)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    return np.where(np.isfinite(array), array.astype(object), None).tolist()


def _with_steps(trace, axis, n):
    values = trace.get(axis)
    return list(range(n)) if values is None else _plain(values)


def _trace(figure, trace):
    kind = figure["kind"]
    if kind == "heatmap":
        z = np.asarray(trace["z"])
        return {"type": "heatmap", "name": trace["name"], "z": _plain(z),
                "x": _with_steps(trace, "x", z.shape[1]), "y": _with_steps(trace, "y", z.shape[0])}
    if kind == "histogram":
        return {"type": "histogram", "name": trace["name"], "x": _plain(trace["x"])}
    made = {"type": "bar" if kind == "bar" else "scatter", "name": trace["name"],
            "x": _with_steps(trace, "x", len(trace["y"])), "y": _plain(trace["y"])}
    if kind != "bar":
        made["mode"] = "lines" if kind == "line" else "markers"
    if "labels" in trace:
        made["text"] = list(trace["labels"])
    if "y_error" in trace:
        error = np.asarray(trace["y_error"])
        sides = {"array": _plain(error)} if error.ndim == 1 else {
            "symmetric": False, "arrayminus": _plain(error[0]), "array": _plain(error[1])}
        made["error_y"] = {"type": "data", **sides}
    return made


def _axis(figure, which):
    axis = {"title": {"text": figure.get(f"{which}_label", "")}}
    if figure.get(f"{which}_log"):
        axis["type"] = "log"
    if ticks := figure.get(f"{which}_ticks"):
        axis.update(tickmode="array", tickvals=list(range(len(ticks))), ticktext=list(ticks))
    return axis


def _panels(figure, traces, layout):
    """Small multiples: a panel for each facet, all on the same axes."""
    facets = list(dict.fromkeys(trace.get("facet", "") for trace in figure["traces"]))
    columns = min(_COLUMNS, len(facets))
    rows = -(-len(facets) // columns)
    layout["annotations"] = []
    for i, facet in enumerate(facets):
        row, column = divmod(i, columns)
        suffix = "" if i == 0 else str(i + 1)
        left, top = column / columns, 1 - row / rows
        domain = {"x": [left, left + 0.85 / columns], "y": [max(0.0, top - 0.75 / rows), top]}
        for which in "xy":
            axis = {**_axis(figure, which), "domain": domain[which], "anchor": ("y" if which == "x" else "x") + suffix}
            if i > 0:
                axis["matches"] = which
            layout[f"{which}axis{suffix}"] = axis
        layout["annotations"].append({"text": facet, "x": left, "y": top, "xref": "paper", "yref": "paper",
                                      "xanchor": "left", "yanchor": "bottom", "showarrow": False})
        for trace, said in zip(traces, figure["traces"]):
            if said.get("facet", "") == facet:
                trace.update(xaxis="x" + suffix, yaxis="y" + suffix)


class Figure:
    """A figure in Plotly's JSON form; JupyterLab shows it without Plotly for Python.

    data: list of traces; layout: dict. `figure` keeps it as the probe recorded it, with NumPy arrays.
    """

    def __init__(self, figure):
        self.figure = figure
        self.name = figure["name"]
        self.data = [_trace(figure, trace) for trace in figure["traces"]]
        self.layout = {"title": {"text": figure.get("title", "")}}
        if any(trace.get("facet") for trace in figure["traces"]):
            _panels(figure, self.data, self.layout)
        else:
            self.layout.update(xaxis=_axis(figure, "x"), yaxis=_axis(figure, "y"))
        if figure["kind"] == "heatmap":
            self.layout["yaxis"]["autorange"] = "reversed"  # row 0 is on top
        if figure.get("equal_axes"):
            self.layout["yaxis"].update(scaleanchor="x", scaleratio=1)
        if figure["kind"] == "histogram":
            self.layout["barmode"] = "overlay"

    def to_dict(self):
        """{"data": [...], "layout": {...}}, ready for json.dumps and for plotly.js."""
        return {"data": self.data, "layout": self.layout}

    def to_plotly(self):
        """A plotly.graph_objects.Figure. Raises ImportError where Plotly for Python is not installed."""
        try:
            import plotly.graph_objects
        except ImportError:
            raise ImportError("orrery: Plotly for Python is not installed\n  pip install plotly, or use .data and "
                              ".layout, which plotly.js draws") from None
        return plotly.graph_objects.Figure(self.to_dict())

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"application/vnd.plotly.v1+json": self.to_dict(), "text/plain": repr(self)}

    def __repr__(self):
        return f"<orrery.Figure {self.name!r}: {self.figure.get('title', '')}, {len(self.data)} traces>"


def drawn(figure):
    """A plotly figure where Plotly for Python is installed, else a Figure."""
    made = Figure(figure)
    try:
        return made.to_plotly()
    except ImportError:
        return made
