"""Names and ids from capi/tables, so that none is typed again here."""

import pathlib
import tomllib

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "capi" / "tables"


def rows(file, key):
    return tomllib.loads((FOLDER / file).read_text())[key]


statuses = {row["name"] for row in rows("status.toml", "status")}
dtypes = {row["name"].lower(): row for row in rows("dtypes.toml", "dtype")}
options = {row["name"].lower(): row for row in rows("options.toml", "option")}

# Names of the values of options whose type is a table of names, by that type.
names = {
    kind: {row["name"].lower() for row in rows(f"{kind}s.toml", kind)}
    for kind in ("method", "estimate", "sparsifier", "certificate", "score")
}
layouts = {row["name"].lower() for row in rows("layouts.toml", "layout")}
