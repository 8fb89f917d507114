"""A payment as a wallet would prepare it (BIP-174), without a wallet."""

from __future__ import annotations

import base64
import struct

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
#: Somebody else's taproot address on regtest.
STRANGER = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"


def script(address: str) -> bytes:
    """The output script of a taproot address (BIP-350, without a look at the checksum)."""
    data = [ALPHABET.index(digit) for digit in address[address.rindex("1") + 1 : -6]]
    bits = "".join(f"{digit:05b}" for digit in data[1:])
    program = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - len(bits) % 8, 8))
    return bytes([0x50 + data[0], len(program)]) + program


def output(sats: int, address: str) -> bytes:
    locking = script(address)
    return struct.pack("<Q", sats) + bytes([len(locking)]) + locking


def psbt(coin: str, outputs: list[tuple[int, str]], *, sats: int = 100_000, number: int = 0) -> str:
    """Spends a coin of ``sats`` that lies at ``coin``. Coins with another ``number`` are other coins."""
    spent = bytes([number]) * 32 + struct.pack("<I", 0)
    transaction = struct.pack("<i", 2) + b"\x01" + spent + b"\x00" + b"\xff" * 4
    transaction += bytes([len(outputs)]) + b"".join(output(*one) for one in outputs) + b"\x00" * 4
    witness = output(sats, coin)
    packed = b"psbt\xff\x01\x00" + bytes([len(transaction)]) + transaction + b"\x00"
    packed += b"\x01\x01" + bytes([len(witness)]) + witness + b"\x00" + b"\x00" * len(outputs)
    return base64.b64encode(packed).decode()
