"""What the files of the Rust crate define."""

import re
from pathlib import Path

from definition import Definition

IMPL = re.compile(r"^impl(?:<[^\n]*?>)? (?P<owner>\w+)(?:<[^{\n]*>)? \{$(?P<body>.*?)^\}$", re.MULTILINE | re.DOTALL)


def parse(files: dict[Path, str]) -> list[Definition]:
    """Free functions and methods, those of macros in an impl block included; public is what lib.rs exports."""
    crate = next(text for path, text in files.items() if path.name == "lib.rs")
    exported = "\n".join(re.findall(r"^pub use [^;]*;", crate, re.MULTILINE))
    macros = {}
    for path, text in files.items():
        for match in re.finditer(r"^macro_rules! (\w+) \{$(.*?)^\}$", text, re.MULTILINE | re.DOTALL):
            macros[match[1]] = (path, match[2])
    result = []
    for path, text in files.items():
        result += _functions(path, text, "", exported)
        for match in IMPL.finditer(text):
            result += _functions(path, match["body"], f"{match['owner']}::", exported)
            for name, (origin, body) in macros.items():
                if f"{name}!(" in match["body"]:
                    result += _functions(origin, body, f"{match['owner']}::", exported)
    return result


def _functions(path: Path, text: str, owner: str, exported: str) -> list[Definition]:
    """The methods of an owner, which are all indented alike, or without one the free functions, which are not indented."""
    indent = min((re.match(" *", line)[0] for line in text.splitlines() if " fn " in line), default="") if owner else ""
    begin = rf"^{indent}(?P<pub>pub )?(?:pub\(\w+\) )?(?:unsafe )?(?:extern \"C\" )?fn (?P<name>\w+)"
    result = []
    for match in re.finditer(begin, text, re.MULTILINE):
        name = owner + match["name"]
        public = match["pub"] is not None and re.search(rf"\b{name.split('::')[0]}\b", exported) is not None
        closing = re.compile(rf"^{indent}\}}$", re.MULTILINE).search(text, match.end())
        result.append(Definition(name, path, text[match.start() : closing.end()], public))
    return result
