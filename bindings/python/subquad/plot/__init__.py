"""Pictures of what adaptive attention decided, and of what a sparsifier chose. Needs the extra `subquad[plot]`, which is matplotlib.

`budget_map` shows what each head of each layer was given, `frontier` error against time, `calibration` estimated against true error,
`spectrum` how close a sparsifier is in every direction, `columns` which columns it chose. Each draws on a matplotlib Axes, its own
unless one is given, and returns it: `budget_map(report).figure.savefig("map.png")`. None uses pyplot, shows a window, or changes
matplotlib's settings. What colours say, marks, dashes, letters or lightness say too.
"""

from ._budget_map import budget_map
from ._calibration import calibration
from ._columns import columns
from ._frontier import frontier
from ._spectrum import spectrum

__all__ = ["budget_map", "calibration", "columns", "frontier", "spectrum"]
