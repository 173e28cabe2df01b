"""Is this what DataShop takes? All rules of its importer and validator over the files of an upload, streaming.

Source: spec/datashop.md; the rules are listed in findings.py and docs/datashop-verify.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from torus_assets.datasets.datashop.findings import RULES, Finding, Place
from torus_assets.datasets.datashop.parsed import ParsedTransaction, SectionNumbers
from torus_assets.datasets.datashop.verify_document import Opener
from torus_assets.datasets.datashop.verify_tab import read_table
from torus_assets.datasets.datashop.verify_upload import FileSeen, Upload
from torus_assets.datasets.datashop.verify_xml import read_document

_HEAD = 4_096  # bytes that tell the form


@dataclass(frozen=True)
class Report:
    """What the verifier says about an upload, and what DataShop will make of it."""

    files: Sequence[FileSeen]
    counts: Mapping[str, int]  # findings by rule
    findings: Sequence[Finding]  # the first 20 of each rule, in order of reading
    sections: Mapping[str, SectionNumbers]  # by class name; "" without class

    @property
    def errors(self) -> int:
        return sum(count for rule, count in self.counts.items() if RULES[rule].severity == "error")

    @property
    def warnings(self) -> int:
        return sum(self.counts.values()) - self.errors

    @property
    def ok(self) -> bool:
        return self.errors == 0

    def document(self) -> dict[str, Any]:
        """For `--json` and for metadata; no learner's text or id in it."""
        return {
            "ok": self.ok,
            "errors": self.errors,
            "warnings": self.warnings,
            "files": [file._asdict() for file in self.files],
            "rules": {
                rule: {"severity": RULES[rule].severity, "count": count, "why": RULES[rule].why} for rule, count in self.counts.items()
            },
            "findings": [finding.document() for finding in self.findings],
            "sections": {name: counts.document() for name, counts in sorted(self.sections.items())},
        }


def verify(files: Sequence[tuple[str, Opener]], *, this_year: int | None = None) -> Report:
    """Verifies the files of one upload together: name and opener each. The opener is called several times.

    Args:
        files: in the order they are uploaded in.
        this_year: for the years that DataShop replaces; the present one by default.

    Raises:
        OSError: a file cannot be read. Whatever is in the files, this raises nothing.
    """
    return report_of(read_through(files, this_year=this_year))


def read_through(files: Sequence[tuple[str, Opener]], *, this_year: int | None = None) -> Upload:
    """The upload, read to its end."""
    upload = Upload(this_year or datetime.now(UTC).year)
    for _ in _transactions(files, upload):
        pass
    upload.end()
    return upload


def report_of(upload: Upload) -> Report:
    found = sorted(upload.findings.counts.items())
    return Report(upload.files, dict(found), upload.findings.kept, {name: counts.numbers() for name, counts in upload.sections.items()})


def iter_transactions(files: Sequence[tuple[str, Opener]]) -> Iterator[ParsedTransaction]:
    """The transactions of an upload as DataShop makes them, in order of the files; the same for both forms.

    What the importer would leave out is left out here, without a word: `verify` says why.
    """
    return _transactions(files, Upload(datetime.now(UTC).year))


def _transactions(files: Sequence[tuple[str, Opener]], upload: Upload) -> Iterator[ParsedTransaction]:
    forms: set[str] = set()
    for name, open_file in files:
        form = form_of(open_file)
        forms.add(form)
        if len(forms) == 2:
            upload.findings.add("file.forms_mixed", Place(name, ""), f"this file is {form}, the ones before are not")
            forms = {form}
        yield from (read_document if form == "xml" else read_table)(name, open_file, upload)


def form_of(open_file: Opener) -> str:
    """`xml` or `tab`, by the first character."""
    with open_file() as source:
        head = source.read(_HEAD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "xml" if b"<" in head[:4] else "tab"
    return "xml" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") else "tab"
