"""Functions of an x86-64 library that use instructions which not every such processor has, outside those chosen at run time.

usage: baseline.py LIBRARY

LIBRARY must have its symbols. Highway compiles a kernel per target, in a namespace N_<target>, and asks the processor before it calls
one; everything else runs anywhere. Prints the functions that break this rule, and exits with 1 where there is one.
"""

import re
import subprocess
import sys

#: What came after SSE2, which all x86-64 has: SSE3 to SSE4.2; AVX and later, whose mnemonics begin with v or whose registers are its own.
SSE4 = re.compile(
    r"addsubp|aes|blend|crc32|dpp|extractps|h(add|sub)p|insertps|lddqu|mov(ddup|shdup|sldup|be|ntdqa)|mpsadbw|p(abs|align|blend|clmul"
    r"|cmp[ei]str|cmp(eq|gt)q|extr[bdq]|hadd|hminpos|hsub|insr[bdq]|maddubs|max(sb|sd|ud|uw)|min(sb|sd|ud|uw)|mov[sz]x|mul(dq|hrsw|ld)"
    r"|opcnt|shufb|sign|test)|packusdw|round"
)
AVX = re.compile(r"v(?!er[rw])|andn\b|bextr|bls|bzhi|mulx|pdep|pext\b|rorx|s[ah][lr]x")
AVX_REGISTERS = re.compile(r"%[yz]mm|%k[1-7]\b")


def offences(listing: str) -> dict[str, str]:
    """By function: its first instruction that is out of place. The listing is objdump's, demangled and without the bytes."""
    found: dict[str, str] = {}
    function = ""
    for line in listing.splitlines():
        if heading := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function = heading[1]
            continue
        _, tab, instruction = line.partition("\t")
        if not tab or function in found or re.search(r"\bN_AVX\w*::", function):
            continue
        needs_avx = AVX.match(instruction) or AVX_REGISTERS.search(instruction)
        if needs_avx or (SSE4.match(instruction) and "N_SSE4::" not in function):
            found[function] = instruction
    return found


def main(library: str) -> int:
    command = ["objdump", "--disassemble", "--no-show-raw-insn", "--demangle", library]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "N_AVX2::" not in listing:
        raise SystemExit(f"{library}: no symbols, or not the targets that were expected")
    found = offences(listing)
    for function, instruction in found.items():
        print(f"{function}: {instruction}")
    print(f"{len(found)} functions need more than every x86-64 processor has")
    return len(found) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
