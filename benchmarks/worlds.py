"""Worlds for the ingest benchmarks: part attempts of spec/xapi.md 4.1, 1.7 kB a line, 25 to 100 lines a bundle, one upload day.

Many learners, GUIDs of their own, answers of varying text, feedback that repeats. The same arguments give the same bytes.

    python -m benchmarks.worlds FOLDER [--lines 100000] [--sections 20]
"""

from __future__ import annotations

import argparse
import json
import os
import random
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

DAY = date(2026, 2, 3)
SLICE_LINES = 100_000  # made by one process with a seed of its own
OLI = "http://oli.cmu.edu/extensions/"
WORDS = [
    "the",
    "membrane",
    "lets",
    "water",
    "through",
    "because",
    "salt",
    "is",
    "denser",
    "than",
    "it",
    "was",
    "before",
    "so",
    "x",
    "goes",
    "up",
    "and",
    "y",
    "falls",
    "«mass»",
    "is",
    "conserved",
    "here",
]
FEEDBACK = (
    "Correct. Both halves follow from the definition.", "Not quite: check the units.", "Not quite: «mass» is conserved.", "Right.",
    "Read the second paragraph again and look at what happens on the side of the membrane where the salt is.",
)  # fmt: skip
PLACES = (
    "part_guid",
    "activity_guid",
    "page_guid",
    "session_guid",
    "user",
    "section",
    "activity",
    "page",
    "hints",
    "feedback",
    "response",
    "raw",
    "clock",
)


OLD_SCOPE = ("section_id", "project_id", "publication_id", "page_id", "activity_id", "activity_revision_id")
OLD_ATTEMPT = (
    "page_attempt_guid", "page_attempt_number", "part_id", "part_attempt_guid", "part_attempt_number", "activity_attempt_number", "activity_attempt_guid",
)  # fmt: skip


def old_row(line: str) -> dict[str, object] | None:
    """A part attempt as the job this replaces reads and encodes it (spec/datasets.md 5); None for another kind."""
    value = json.loads(line)
    extensions, result = value["context"]["extensions"], value["result"]
    if value["object"]["definition"]["type"] != "http://adlnet.gov/expapi/activities/question":
        return None
    return {
        "event_type": value["object"]["definition"]["name"]["en-US"], "timestamp": value["timestamp"], "user_id": value["actor"]["account"]["name"],
        **{name: extensions[OLI + name] for name in OLD_SCOPE}, "attached_objectives": _old_list(extensions[OLI + "attached_objectives"]),
        **{name: extensions[OLI + name] for name in OLD_ATTEMPT}, "score": result["score"]["raw"], "out_of": result["score"]["max"],
        "response": _old_json(result["response"]), "feedback": _old_json(result["extensions"][OLI + "feedback"]),
        "hints": _old_list(extensions[OLI + "hints_requested"]),
    }  # fmt: skip


def _old_list(values: list | None) -> str | None:
    return None if values is None else '"' + ",".join(map(str, values)) + '"'


def _old_json(value: object) -> str:
    return '"' + json.dumps(value, separators=(",", ":")) + '"'


def template() -> str:
    """One statement with `%(place)s` where lines differ."""
    extensions = {
        "activity_attempt_guid": "@activity_guid", "activity_attempt_number": 1, "activity_id": "#activity", "activity_revision_id": 210774,
        "attached_objectives": [59012, 59044], "enrollment_id": 77310, "hints_requested": "#hints", "page_attempt_guid": "@page_guid",
        "page_attempt_number": 2, "page_id": "#page", "part_attempt_guid": "@part_guid", "part_attempt_number": 1, "part_id": "1", "project_id": 118,
        "publication_id": 904, "section_id": "#section", "session_id": "@session_guid",
    }  # fmt: skip
    statement = {
        "actor": {"account": {"homePage": "torus.example.edu", "name": "#user"}, "objectType": "Agent"},
        "context": {"extensions": {OLI + name: value for name, value in extensions.items()}},
        "object": {
            "definition": {"name": {"en-US": "Part Attempt"}, "type": "http://adlnet.gov/expapi/activities/question"},
            "id": "torus.example.edu/part_attempt/@part_guid}", "objectType": "Activity",
        },
        "result": {
            "completion": True, "extensions": {OLI + "feedback": "#feedback"}, "response": {"files": [], "input": "#response"},
            "score": {"max": 1.0, "min": 0, "raw": "#raw", "scaled": "#raw"}, "success": True,
        },
        "timestamp": f"{DAY}T@clockZ", "verb": {"display": {"en-US": "completed"}, "id": "http://adlnet.gov/expapi/verbs/completed"},
    }  # fmt: skip
    text = json.dumps(statement, separators=(",", ":"))
    for place in PLACES:
        text = text.replace(f'"#{place}"', f"%({place})s").replace(f"@{place}", f"%({place})s")
    return text


def make(root: Path, lines: int, *, sections: int = 20) -> int:
    """Writes a world's bundles under `root`; the number of bundles."""
    for section in range(sections):
        (root / f"section/{3000 + section}/attempt_evaluated").mkdir(parents=True, exist_ok=True)
    slices = [(root, n, min(SLICE_LINES, lines - start), sections) for n, start in enumerate(range(0, lines, SLICE_LINES))]
    if len(slices) == 1:
        return _slice(slices[0])
    with ProcessPoolExecutor() as pool:
        return sum(pool.map(_slice, slices))


def _slice(job: tuple[Path, int, int, int]) -> int:
    root, seed, lines, sections = job
    chance = random.Random(seed)
    form = template()
    feedback = [json.dumps({"content": [{"children": [{"text": text}], "id": str(n), "type": "p"}], "id": str(1190442 + n)}, separators=(",", ":"), ensure_ascii=False)
                for n, text in enumerate(FEEDBACK)]  # fmt: skip
    made = bundles = 0
    while made < lines:
        count = min(chance.randint(25, 100), lines - made)
        section = 3000 + chance.randrange(sections)
        hour = chance.randrange(24)
        body = "\n".join(form % _values(chance, section, hour, feedback) for _ in range(count))
        name = f"{DAY}T{hour:02d}-{chance.randrange(60):02d}-59.{bundles:06d}Z_{seed:04X}{bundles:028X}.jsonl"
        (root / f"section/{section}/attempt_evaluated" / name).write_text(body, encoding="utf-8")
        made += count
        bundles += 1
    return bundles


def _values(chance: random.Random, section: int, hour: int, feedback: list[str]) -> dict[str, object]:
    hexes = f"{chance.getrandbits(512):0128x}"
    seconds = chance.randrange(3600)
    return {
        "part_guid": _guid(hexes, 0), "activity_guid": _guid(hexes, 32), "page_guid": _guid(hexes, 64), "session_guid": _guid(hexes, 96),
        "user": 40000 + chance.randrange(5000), "section": section, "activity": 60000 + chance.randrange(900), "page": 60480 + chance.randrange(60),
        "hints": "[]" if chance.random() < 0.8 else '["773001"]', "feedback": feedback[chance.randrange(len(feedback))],
        "response": json.dumps(" ".join(chance.choices(WORDS, k=chance.randrange(1, 15))), ensure_ascii=False), "raw": float(chance.random() < 0.6),
        "clock": f"{hour:02d}:{seconds // 60:02d}:{seconds % 60:02d}",
    }  # fmt: skip


def _guid(hexes: str, at: int) -> str:
    return (
        f"{hexes[at : at + 8]}-{hexes[at + 8 : at + 12]}-{hexes[at + 12 : at + 16]}-{hexes[at + 16 : at + 20]}-{hexes[at + 20 : at + 32]}"
    )


def installed(folder: Path, *, pandas: bool) -> dict[str, str]:
    """The environment of an installed service: byte code is kept (below `folder`), and libraries that only benchmarks need are not there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode")
    }
    if not pandas:
        hidden = folder / "hidden"
        hidden.mkdir(exist_ok=True)
        (hidden / "pandas.py").write_text("raise ModuleNotFoundError('pandas')\n")
        environment["PYTHONPATH"] = os.pathsep.join([str(hidden), *filter(None, [os.environ.get("PYTHONPATH")])])
    return environment


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--sections", type=int, default=20)
    options = parser.parse_args()
    print(json.dumps({"bundles": make(options.folder, options.lines, sections=options.sections)}))
