"""Where things are in the tree, and where what is made from it goes."""

from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / ".build"
LOGS = BUILD / "log"
