from __future__ import annotations

import hashlib

from gfnet.files.digests import UNKNOWN, own_digest, with_own_digest


def test_a_file_tells_the_digest_that_it_has_with_zeros_in_its_place():
    text = f"before {UNKNOWN} after {UNKNOWN}".encode()
    whole = with_own_digest(text, (b"and", memoryview(b" more")))
    told = whole[7:71].decode()
    assert told == hashlib.sha256(text + b"and more").hexdigest()
    assert whole == f"before {told} after {UNKNOWN}".encode()
    assert own_digest(whole, told, (b"and more",)) == told
    assert own_digest(whole, told, (b"and less",)) != told
    assert own_digest(whole.replace(b"after", b"later"), told, (b"and more",)) != told
