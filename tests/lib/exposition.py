"""exposition.py - reads what /metrics says, strictly: Prometheus' text 0.0.4 and OpenMetrics 1.0.

Anything that a lenient reader would let pass is an error: a family that begins twice, a row of another family in between, a row
that comes twice, a counter without _total, buckets that do not grow, a missing end.
"""
import math
import re

_ROW = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Bad(Exception):
    """The text is no exposition."""


def _unescape(text):
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), text)


def _value(text):
    if text in ("NaN", "+Inf", "-Inf"):
        return float(text)
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", text):
        raise Bad(f"no number: {text}")
    return float(text)


class Scrape:
    """rows: {(name, ((label, value), ...)): number}; families: {name: kind}."""

    def __init__(self, data, openmetrics=False):
        self.open, self.rows, self.families = openmetrics, {}, {}
        text = data.decode("utf-8")
        if not text.endswith("\n") or "\n\n" in text:
            raise Bad("an empty line, or no end of the last one")
        lines = text.split("\n")[:-1]
        if openmetrics:
            if lines.pop() != "# EOF":
                raise Bad("no # EOF")
        family = None
        for line in lines:
            family = self._comment(line, family) if line.startswith("#") else self._row(line, family)
        self._check_histograms()

    def _comment(self, line, family):
        m = re.fullmatch(r"# (HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line)
        if not m:
            raise Bad(f"no comment that is known: {line}")
        what, name, rest = m.groups()
        if what == "HELP":
            if name in self.families:
                raise Bad(f"{name} begins twice")
            self.families[name] = None
            return name
        if name != family:
            raise Bad(f"{what} of {name} within {family}")
        if what == "TYPE":
            if rest not in _SUFFIXES or self.families[name]:
                raise Bad(line)
            self.families[name] = rest
        elif not self.open or not name.endswith("_" + rest):
            raise Bad(line)
        return family

    def _row(self, line, family):
        m = _ROW.fullmatch(line)
        if not m:
            raise Bad(f"no row: {line}")
        name, labels, value = m.groups()
        kind = self.families.get(family)
        base = family if self.open or kind != "counter" else family.removesuffix("_total")
        if kind is None or name not in [base + s for s in _SUFFIXES[kind]]:
            raise Bad(f"{name} within {family} ({kind})")
        pairs = tuple(sorted((k, _unescape(v)) for k, v in _LABEL.findall(labels or "")))
        if (name, pairs) in self.rows or len({k for k, _ in pairs}) != len(pairs):
            raise Bad(f"twice: {line}")
        self.rows[name, pairs] = _value(value)
        if kind == "counter" and not self.rows[name, pairs] >= 0:
            raise Bad(line)
        return family

    def _check_histograms(self):
        for family in (f for f, kind in self.families.items() if kind == "histogram"):
            sets = {}
            for (name, pairs), value in self.rows.items():
                if name == family + "_bucket":
                    rest = tuple(p for p in pairs if p[0] != "le")
                    sets.setdefault(rest, []).append((float(dict(pairs)["le"]), value))
            for rest, buckets in sets.items():
                if buckets != sorted(buckets) or [v for _, v in buckets] != sorted(v for _, v in buckets):
                    raise Bad(f"{family}: buckets do not grow")
                if buckets[-1][0] != math.inf or buckets[-1][1] != self.rows[family + "_count", rest]:
                    raise Bad(f"{family}: the last bucket is not the count")

    def get(self, name, **labels):
        """The sum of the rows that have these labels."""
        found = [v for (n, pairs), v in self.rows.items() if n == name and set(labels.items()) <= set(pairs)]
        if not found:
            raise KeyError(name)
        return sum(found)

    def names(self):
        return {name for name, _ in self.rows}
