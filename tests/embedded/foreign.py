"""A program for 64-bit ARM, made of a few instructions: prints a line, and ends with an exit code."""

from __future__ import annotations

import struct

_BASE = 0x400000
_HEADERS = 64 + 56


def arm64_program(text: bytes, code: int = 0) -> bytes:
    """An ELF executable that writes `text` to standard output and exits with `code`."""
    message = 8 * 4  # behind eight instructions
    instructions = (
        0xD2800020,  # mov x0, #1
        0x10000001 | ((message - 4) >> 2) << 5,  # adr x1, message
        0xD2800002 | len(text) << 5,  # mov x2, #length
        0xD2800808,  # mov x8, #64 (write)
        0xD4000001,  # svc #0
        0xD2800000 | code << 5,  # mov x0, #code
        0xD2800BA8,  # mov x8, #93 (exit)
        0xD4000001,  # svc #0
    )
    body = struct.pack("<8I", *instructions) + text
    size = _HEADERS + len(body)
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return identification + header + segment + body
