"""The reasons why a measured run is not to be relied on: a code and a sentence for each, here and nowhere else.

``doubts.json`` beside this file is generated from it, so that the phone's benchmark can be held to the same codes.
"""

from __future__ import annotations

import json
from enum import StrEnum
from string import Formatter


class DoubtCode(StrEnum):
    """A reason not to rely on a measured run.

    Attributes:
        sentence: what a reader is shown, with the names of the values that are put into it in braces.
    """

    sentence: str

    def __new__(cls, code: str, sentence: str) -> DoubtCode:
        member = str.__new__(cls, code)
        member._value_, member.sentence = code, sentence
        return member

    STILL_WARMING = "still-warming", "times still fell after {rounds} rounds of warm-up"
    THROTTLED = "throttled", "the device throttled: thermal state {state} from round {round} of {rounds}; let it cool"
    LOW_POWER = "low-power", "low-power mode was on; switch it off"
    INTERRUPTED = "interrupted", "the program was put into the background; keep it in front"
    BUSY = "busy", "other processes kept {busy} of {cores} cores busy; stop them"
    FEW_SAMPLES = "few-samples", "{subject}: {samples} times were taken, fewer than {fewest}; take more"
    BECAME_SLOWER = "became-slower", "{subject}: became {percent} % slower while it was measured"
    BECAME_FASTER = "became-faster", "{subject}: became {percent} % faster while it was measured"
    RATIO_UNCERTAIN = "ratio-uncertain", "{subject}: its ratio is known to {percent} % only; take more rounds"
    RATIO_UNKNOWN = "ratio-unknown", "{subject}: its ratio is not known; take more rounds"
    MODEL_GAP = "model-gap", "{subject}: the measured mean latency is {factor} times the modelled one"

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the values that are put into its sentence."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.sentence) if name is not None)


def table_text() -> str:
    """Codes and sentences as JSON, as committed in ``doubts.json``."""
    return json.dumps({str(code): code.sentence for code in DoubtCode}, indent=2) + "\n"


if __name__ == "__main__":
    print(table_text(), end="")
