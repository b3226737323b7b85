"""Puts a function's binary into a zip, always the same one for the same binary and zlib.

    python3 scripts/zip.py arm64|x86_64 BOOTSTRAP ZIP
"""

import os
import sys
import zipfile

# The earliest that a zip can hold: the same for every build, whenever and from whichever commit.
TIME = (1980, 1, 1, 0, 0, 0)
# e_machine of the ELF header, and what Lambda calls it.
MACHINES = {"arm64": 0xB7, "x86_64": 0x3E}


def main(architecture: str, binary: str, archive: str) -> None:
    with open(binary, "rb") as file:
        content = file.read()
    if content[:4] != b"\x7fELF" or int.from_bytes(content[18:20], "little") != MACHINES[architecture]:
        sys.exit(f"zip: {binary} is no program for {architecture}")
    entry = zipfile.ZipInfo("bootstrap", date_time=TIME)
    entry.create_system = 3
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    partial = archive + ".partial"
    with zipfile.ZipFile(partial, "w") as out:
        out.writestr(entry, content, compresslevel=9)
    os.replace(partial, archive)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in MACHINES:
        sys.exit(__doc__)
    main(*sys.argv[1:])
