"""Lists of choices that options and functions share; light, so that ``gfnet --help`` stays fast."""

from __future__ import annotations

from typing import Literal

ReportFormat = Literal["html", "md", "csv", "png"]
Figure = Literal["mobilenetv3", "resnet"]
"""The papers' latency figure: figure 5 (a) or (b)."""
