"""Whatever the reference rules file looks like as text, exactly one block of lines is added."""

from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.files.desired import wanted_rules
from runbook.files.rules import plan_rules

REFERENCE = Path(__file__).resolve().parents[2] / "monitoring/prometheus-crm-events-rules.yml"
BOM = b"\xef\xbb\xbf"
WANTED = wanted_rules()


@st.composite
def rules_files(draw: st.DrawFn) -> bytes:
    """The reference with other line ends, mark, end of file, blank lines, comments and indentation."""
    text = REFERENCE.read_text("utf-8")
    if draw(st.booleans()):
        text = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))
    if draw(st.booleans()):
        text = "".join(line for line in text.splitlines(keepends=True) if line.strip())
    extra = draw(st.integers(0, 3))
    lines = text.split("\n")
    start = lines.index("groups:") + 1
    lines[start:] = [" " * extra + line if line.strip() else line for line in lines[start:]]
    text = "\n".join(lines).rstrip("\n") + draw(st.sampled_from(["", "\n", "\n\n"]))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return (BOM if draw(st.booleans()) else b"") + text.encode()


def adds_one_block(before: bytes, after: bytes) -> bool:
    """Taking the lines of the new rule out again gives the original bytes."""
    at = after.find(b"# Alert: CRM Events Sink down")
    at = after.rfind(b"\n", 0, at)
    added = len(after) - len(before)
    taken_out = [after[: at + shift] + after[at + shift + added :] for shift in range(-2, 2)]
    return before in taken_out


@settings(max_examples=25)
@given(rules_files())
def test_one_block_of_lines_is_added(before: bytes) -> None:
    """Every other byte stays, the rule is the last of its group, and a second plan changes nothing."""
    after = plan_rules(before, WANTED, path=Path("x.yml")).after
    assert adds_one_block(before, after)
    expected = yaml.safe_load(before)
    expected["groups"][1]["rules"] += yaml.safe_load(WANTED[0].text)
    assert expected == yaml.safe_load(after)
    assert plan_rules(after, WANTED, path=Path("x.yml")).is_empty


def test_the_proof_catches_a_dumper() -> None:
    """Negative control: loading and dumping YAML says the same and still does not pass."""
    before = REFERENCE.read_bytes()
    after = plan_rules(before, WANTED, path=Path("x.yml")).after
    dumped = yaml.safe_dump(yaml.safe_load(after), sort_keys=False, allow_unicode=True).encode()
    assert adds_one_block(before, after)
    assert not adds_one_block(before, dumped)
