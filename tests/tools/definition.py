"""One thing that the sources of a package define."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Definition:
    """A function, method or type: where it stands, what it is made of, the keywords it takes; `rest` takes those that `doc` names."""

    name: str
    path: Path
    text: str
    public: bool
    keywords: frozenset[str] = frozenset()
    rest: bool = False
    doc: str = ""

    def takes(self, keyword: str) -> bool:
        return keyword in self.keywords or (self.rest and re.search(rf"`{keyword}[`=]", self.doc) is not None)
