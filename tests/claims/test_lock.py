"""The lock: how changes to a claim are described, which edits are no change, and which files are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from project import CLAIMS

from pathlen.claims.lock import LOCK, Declaration, Lock, declarations, imported, lock_of, nearest, read_lock, write_lock
from pathlen.errors import InvalidClaim, InvalidLock

HEAD = '''"""Claims about made-up things."""

from pathlen import SIZES, SMALL, UNTRAINED, LAST_STEP_AND_NEXT_TOKEN, above, below, claim, mean, pearson, within

'''
CONSTANT = """EDGE = 0.5


"""
HELPER = '''def halved(column):
    """Half of it."""
    return column * EDGE


'''
FIRST = '''@claim(
    sizes=SIZES,
    section="3.2",
    expect=below(0.0),
    negligible=within(-0.1, 0.1),
    controls=[UNTRAINED],
    not_shown="why",
)
def test_falls(measured):
    """It falls.

    More about it.
    """
    return pearson(halved(measured.last_step), measured.next_logit, passage=measured.passage)


'''
SECOND = '''@claim(sizes=[SMALL], section="1", expect=above(0.5), true_by_construction="sums grow")
def test_grows(measured):
    """It grows."""
    return mean(measured.total_length, passage=measured.passage)
'''
TEXT = HEAD + CONSTANT + HELPER + FIRST + SECOND

FALLS, GROWS = ("falls", "corrected"), ("grows", "corrected")


@dataclass
class Folders:
    """Creates a new folder of claims each time, because Python checks cached bytecode against its source only to the second."""

    top: Path
    count: int = 0

    def __call__(self, text: str = TEXT, name: str = "test_made_up.py") -> Path:
        self.count += 1
        folder = self.top / f"claims{self.count}"
        folder.mkdir()
        (folder / name).write_text(text, encoding="utf-8")
        return folder


@pytest.fixture
def new(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def edited(old: str, replacement: str) -> str:
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, replacement)


def differences(new: Folders, text: str, before: str = TEXT) -> list[str]:
    """Return what `pathlen lock --check` would print after an edit, writing and reading the lock on the way."""
    folder = new(before)
    write_lock(lock_of(folder), folder / LOCK)
    return read_lock(folder / LOCK).deviations(lock_of(new(text)).declarations)


# Writing and reading.


def test_a_lock_reads_back_as_what_was_written(new: Folders) -> None:
    folder = new()
    lock = lock_of(folder)
    write_lock(lock, folder / LOCK)
    assert read_lock(folder / LOCK).declarations == lock.declarations
    assert read_lock(folder / LOCK).deviations(lock_of(folder).declarations) == []
    assert list(lock.declarations) == [FALLS, GROWS]


def test_the_same_claims_give_the_same_bytes(new: Folders) -> None:
    paths = [new.top / "first.lock", new.top / "second.lock"]
    for path in paths:
        write_lock(lock_of(new()), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    from_reversed = new.top / "reversed.lock"
    write_lock(Lock(dict(reversed(lock_of(new()).declarations.items()))), from_reversed)
    assert from_reversed.read_bytes() == paths[0].read_bytes()


def test_a_lock_holds_all_that_was_declared(new: Folders) -> None:
    declaration = lock_of(new()).declarations[FALLS]
    assert declaration == Declaration(
        id="falls",
        reading="corrected",
        file="test_made_up.py",
        sentence="It falls.",
        section="3.2",
        sizes=["small", "medium", "large", "xl"],
        expect="below 0.0",
        logic="each",
        unit="",
        controls=["untrained"],
        choices=[],
        negligible="between -0.1 and 0.1",
        exploratory=False,
        true_by_construction="",
        not_shown="why",
        needs=["measured"],
        body=declaration.body,
    )
    assert declaration.key == FALLS


def test_a_lock_is_readable_json(new: Folders) -> None:
    folder = new()
    write_lock(lock_of(folder), folder / LOCK)
    content = json.loads((folder / LOCK).read_text("utf-8"))
    assert content["lock_version"] == 1
    assert [entry["declaration"]["sentence"] for entry in content["claims"]] == ["It falls.", "It grows."]
    assert all(len(entry["digest"]) == 64 for entry in content["claims"])


# Changes, and how they are described.

EDITS = {
    "sentence": ("It falls.\n", "It rises.\n", "sentence was It falls., is It rises."),
    "section": ('section="3.2"', 'section="3.3"', "section was 3.2, is 3.3"),
    "region": ("expect=below(0.0)", "expect=below(-0.1)", "expect was below 0.0, is below -0.1"),
    "last digit of a region": ("below(0.0)", "below(1e-12)", "expect was below 0.0, is below 1e-12"),
    "side of a region": ("below(0.0)", "above(0.0)", "expect was below 0.0, is above 0.0"),
    "sizes": ("sizes=SIZES", "sizes=[SMALL]", "sizes was small, medium, large, xl, is small"),
    "logic": ("sizes=SIZES,\n", 'sizes=SIZES,\n    logic="all",\n', "logic was each, is all"),
    "unit": ("sizes=SIZES,\n", 'sizes=SIZES,\n    unit="blocks",\n', "unit was none, is blocks"),
    "more controls": (
        "controls=[UNTRAINED]",
        'controls=[UNTRAINED, type(UNTRAINED)("shifted")]',
        "controls was untrained, is untrained, shifted",
    ),
    "no controls": (
        "controls=[UNTRAINED]",
        'true_by_construction="so it is"',
        "controls was untrained, is none; true by construction was none, is so it is",
    ),
    "choices": (
        "controls=[UNTRAINED],\n",
        "controls=[UNTRAINED],\n    universes=LAST_STEP_AND_NEXT_TOKEN,\n",
        "choices was none, is correlation: Pearson (equivalent), Spearman (equivalent), winsorised 5 % (equivalent), ",
    ),
    "negligible": (
        "within(-0.1, 0.1)",
        "within(-0.2, 0.2)",
        "negligible was between -0.1 and 0.1, is between -0.2 and 0.2",
    ),
    "no negligible": (
        "negligible=within(-0.1, 0.1)",
        "negligible=None",
        "negligible was between -0.1 and 0.1, is none",
    ),
    "exploratory": ("sizes=SIZES,\n", "sizes=SIZES,\n    exploratory=True,\n", "exploratory was False, is True"),
    "not shown": ('not_shown="why"', 'not_shown="how"', "not shown was why, is how"),
    "arguments": (
        "def test_falls(measured):",
        "def test_falls(measured, tmp_path):",
        "needs was measured, is measured, tmp_path; the body computes something else",
    ),
    "body": ("measured.next_logit,", "measured.next_log_probability,", "the body computes something else"),
    "keyword in the body": (
        "measured.next_logit, passage=measured.passage)",
        "measured.next_logit, passage=measured.passage, trend=0)",
        "the body computes something else",
    ),
    "constant that a helper uses": ("EDGE = 0.5", "EDGE = 0.6", "the body computes something else"),
    "type of a constant": ("EDGE = 0.5", 'EDGE = "0.5"', "the body computes something else"),
    "helper": ("return column * EDGE", "return column / EDGE", "the body computes something else"),
    "default of a helper": ("def halved(column):", "def halved(column, by=2):", "the body computes something else"),
}


@pytest.mark.parametrize("what", EDITS)
def test_a_change_is_described(new: Folders, what: str) -> None:
    old, replacement, message = EDITS[what]
    (difference,) = differences(new, edited(old, replacement))
    assert difference.startswith(f"falls (corrected): {message}")
    assert difference == f"falls (corrected): {message}" or what == "choices"


def test_the_edits_above_change_every_field_that_does_not_identify_the_claim() -> None:
    words = " ".join(message for _, _, message in EDITS.values()).replace("the body computes", "body was")
    for field in Declaration.__struct_fields__:
        if field not in ("id", "reading", "file"):
            assert f"{field.replace('_', ' ')} was" in words, field


def test_several_changes_are_all_described(new: Folders) -> None:
    text = edited("expect=below(0.0)", "expect=below(0.2)").replace('not_shown="why"', 'not_shown=""')
    (difference,) = differences(new, text)
    assert difference == "falls (corrected): expect was below 0.0, is below 0.2; not shown was why, is none"


def test_a_change_alters_the_digest_but_a_move_to_another_file_does_not(new: Folders) -> None:
    before = lock_of(new()).declarations[FALLS]
    changed = lock_of(new(edited('section="3.2"', 'section="4"'))).declarations[FALLS]
    moved = lock_of(new(name="test_elsewhere.py")).declarations[FALLS]
    assert before.digest != changed.digest
    assert (moved.digest, moved.file) == (before.digest, "test_elsewhere.py")
    assert before.difference(moved) == ""


CACHED = f"from functools import cache\n\n\n@cache\n{HELPER}"
DOUBLED = f"def doubled(function):\n    return lambda column: 2 * function(column)\n\n\n@doubled\n{HELPER}"
USED = "return pearson(halved(measured.last_step), measured.next_logit, passage=measured.passage)"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("3", "4"),
        ("1.0", "1"),
        ("True", "False"),
        ("'a'", "'b'"),
        ("(1, 2)", "(1, 3)"),
        ("[1, 2]", "[1, 3]"),
        ("{'a': 1}", "{'a': 2}"),
        ("{1, 2}", "{1, 3}"),
        ("within(-0.1, 0.1)", "within(-0.2, 0.2)"),
        ("None", "3"),
        ("3", "None"),
    ],
)
def test_a_constant_that_the_body_uses_is_part_of_it(new: Folders, before: str, after: str) -> None:
    texts = [
        TEXT.replace(CONSTANT, f"LIMIT = {limit}\n{CONSTANT}").replace(USED, f"LIMIT; {USED}")
        for limit in (before, after)
    ]
    assert differences(new, texts[1], texts[0]) == ["falls (corrected): the body computes something else"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("halved = lambda column: column * EDGE\n\n\n", "halved = lambda column: column / EDGE\n\n\n"),
        (CACHED, CACHED.replace("* EDGE", "/ EDGE")),
        (DOUBLED, DOUBLED.replace("* EDGE", "/ EDGE")),
        (DOUBLED, DOUBLED.replace("2 * function", "3 * function")),
        (
            "class halved:\n    def __new__(cls, column):\n        return column * EDGE\n\n\n",
            "class halved:\n    def __new__(cls, column):\n        return column / EDGE\n\n\n",
        ),
    ],
    ids=["lambda", "cached", "decorated", "its decorator", "class"],
)
def test_any_kind_of_helper_that_the_body_calls_is_part_of_it(new: Folders, before: str, after: str) -> None:
    texts = [TEXT.replace(HELPER, helper) for helper in (before, after)]
    assert differences(new, texts[0], texts[0]) == []
    assert differences(new, texts[1], texts[0]) == ["falls (corrected): the body computes something else"]


def test_helpers_of_helpers_are_part_of_the_body_and_may_be_recursive(new: Folders) -> None:
    nested = "def far(n):\n    return far(n - 1) if n else 7\n\n\n" + HELPER.replace("* EDGE", "* far(2)")
    texts = [TEXT.replace(HELPER, nested.replace("7", digit)) for digit in "78"]
    assert differences(new, texts[1], texts[0]) == ["falls (corrected): the body computes something else"]


# Edits that are no change.

HARMLESS = {
    "a comment": edited("    return column * EDGE", "    # by half\n    return column * EDGE  # of it"),
    "a comment in the body": edited(f"    {USED}", f"    # as published\n    {USED}"),
    "formatting": edited(
        "pearson(halved(measured.last_step), measured.next_logit, passage=measured.passage)",
        "(\n        pearson(\n            halved( measured.last_step ),\n            measured.next_logit,\n"
        "            passage=measured.passage,\n        )\n    )",
    ),
    "a line more": edited("EDGE = 0.5", "\n\nEDGE = 0.5"),
    "another way to write a number": edited("EDGE = 0.5", "EDGE = 5e-1"),
    "the docstring's second paragraph": edited("More about it.", "Much more\n    about it."),
    "no second paragraph": edited("It falls.\n\n    More about it.\n    ", "It falls."),
    "lines of the sentence": edited("It falls.\n", "It\n    falls.\n"),
    "a helper's docstring": edited('    """Half of it."""\n', ""),
    "the module's docstring": edited("Claims about made-up things.", "Claims."),
    "order of claims": HEAD + CONSTANT + HELPER + SECOND + "\n\n" + FIRST,
    "order of helpers": HEAD + HELPER + FIRST + SECOND + "\n\n" + CONSTANT,
    "a constant that no claim uses": edited("EDGE = 0.5", "EDGE = 0.5\nOTHER = 7"),
    "a helper that no claim uses": TEXT + "\n\ndef other():\n    return 7\n",
    "a test that is no claim": TEXT + "\n\ndef test_other():\n    assert True\n",
    "a list for a tuple": edited("sizes=SIZES", "sizes=list(SIZES)"),
    "a default spelled out": edited("sizes=SIZES,\n", 'sizes=SIZES,\n    logic="each",\n    exploratory=False,\n'),
    "order of arguments": edited('    not_shown="why",\n', "").replace("    sizes=SIZES,", '    not_shown="why",\n    sizes=SIZES,'),
}  # fmt: skip


@pytest.mark.parametrize("what", HARMLESS)
def test_a_harmless_edit_is_no_change(new: Folders, what: str) -> None:
    assert HARMLESS[what] != TEXT
    assert differences(new, HARMLESS[what]) == []


# Added and removed claims.


def test_a_removed_claim_is_reported(new: Folders) -> None:
    text = HEAD + CONSTANT + HELPER + FIRST
    assert differences(new, text) == ["grows (corrected) is locked, but test_made_up.py declares it no more"]


def test_an_added_claim_is_reported(new: Folders) -> None:
    text = TEXT + SECOND.replace("test_grows", "test_rises_as_published")
    assert differences(new, text) == ["rises (as published): the claim is not in the lock"]


def test_a_renamed_claim_is_reported_as_removed_and_added(new: Folders) -> None:
    assert differences(new, edited("def test_grows", "def test_rises")) == [
        "rises (corrected): the claim is not in the lock",
        "grows (corrected) is locked, but test_made_up.py declares it no more",
    ]


def test_only_claims_of_the_files_that_ran_count_as_missing(new: Folders) -> None:
    folder = new()
    (folder / "test_other.py").write_text(HEAD + SECOND.replace("test_grows", "test_rises"), encoding="utf-8")
    lock = lock_of(folder)
    current = declarations(imported(folder / "test_other.py"), folder)
    assert list(current) == [("rises", "corrected")]
    assert lock.gone(current, {"test_other.py"}) == []
    assert len(lock.gone(current, {"test_other.py", "test_made_up.py"})) == 2
    assert lock.gone({}, {"test_other.py"}) == ["rises (corrected) is locked, but test_other.py declares it no more"]


def test_claims_are_found_in_subfolders_and_in_files_of_either_name(new: Folders) -> None:
    folder = new()
    subfolder = folder / "deep" / "deeper"
    subfolder.mkdir(parents=True)
    (subfolder / "rising_test.py").write_text(HEAD + SECOND.replace("test_grows", "test_rises"), encoding="utf-8")
    (folder / "notes.py").write_text("raise RuntimeError", encoding="utf-8")
    files = {declaration.file for declaration in lock_of(folder).declarations.values()}
    assert files == {"test_made_up.py", "deep/deeper/rising_test.py"}


def test_a_claim_in_a_test_class_is_found(new: Folders) -> None:
    method = SECOND.replace("def test_grows(measured)", "def test_grows(self, measured)")
    text = HEAD + "class TestGrowth:\n" + "".join(f"    {line}\n" if line else "\n" for line in method.splitlines())
    assert list(lock_of(new(text)).declarations) == [GROWS]


def test_duplicate_claims_are_refused(new: Folders) -> None:
    folder = new()
    (folder / "test_other.py").write_text(HEAD + SECOND, encoding="utf-8")
    with pytest.raises(InvalidClaim, match=r"'grows' \(corrected\) is declared twice"):
        lock_of(folder)


# Folders that can't be locked.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "can't be imported: SyntaxError: "),
        ("import no_such_module_anywhere\n", "can't be imported: ModuleNotFoundError: No module named 'no_such_mo"),
        ("1 / 0\n", "can't be imported: ZeroDivisionError: division by zero"),
        (edited('    """It grows."""\n', ""), "can't be imported: InvalidClaim: claim 'grows' needs a sentence"),
        ("import pytest\n\npytest.importorskip('no_such_module_anywhere')\n", "can't be imported: Skipped: "),
        ("import sys\n\nsys.exit(3)\n", "can't be imported: SystemExit: 3"),
    ],
    ids=["syntax", "import", "crash", "claim", "skip", "exit"],
)
def test_a_file_that_cannot_be_imported_is_an_invalid_claim(new: Folders, text: str, message: str) -> None:
    # Catch everything: an exception that skips or exits would otherwise skip this test or end the run.
    with pytest.raises(BaseException, match=r"test_made_up\.py") as caught:
        lock_of(new(text))
    assert caught.type is InvalidClaim
    assert message in str(caught.value)


def test_a_folder_without_claims_has_no_lock(new: Folders, tmp_path: Path) -> None:
    for folder in (new("def test_nothing():\n    assert True\n"), new("", "notes.py"), tmp_path / "nowhere"):
        with pytest.raises(
            InvalidClaim, match=r"no claim is declared in .* needs test_\*\.py files with @claim in them"
        ):
            lock_of(folder)


def test_a_file_may_import_its_neighbours_and_sys_path_is_restored(new: Folders) -> None:
    import sys

    folder = new("import neighbour_of_claims\n" + TEXT)
    (folder / "neighbour_of_claims.py").write_text("", encoding="utf-8")
    before = list(sys.path)
    try:
        assert len(lock_of(folder).declarations) == 2
    finally:
        sys.modules.pop("neighbour_of_claims", None)
    assert sys.path == before


def test_a_file_with_a_dataclass_can_be_imported(new: Folders) -> None:
    head = (
        "from __future__ import annotations\n\nfrom dataclasses import dataclass\n\n\n"
        "@dataclass\nclass Pair:\n    first: int\n\n\n"
    )
    assert len(lock_of(new(head + HEAD.split("\n\n", 1)[1] + CONSTANT + HELPER + FIRST)).declarations) == 1


# Locks that can't be read.

Edit = Callable[[str], str]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace("It falls.", "It rises."),
            "was edited: the digest of claim 'falls' is not of what stands there",
        ),
        (lambda text: text.replace('"above 0.5"', '"above 0.4"'), "was edited: the digest of claim 'grows'"),
        (lambda text: text.replace('"exploratory": false', '"exploratory": true'), "was edited: the digest of claim"),
        (lambda text: text.replace('"lock_version": 1', '"lock_version": 2'), "lock_version must be 1, but .* has 2"),
        (lambda text: '{"lock_version": 2, "digest": "of another kind"}', "lock_version must be 1, but .* has 2"),
        (lambda text: text[: len(text) // 2], "is not a lock"),
        (lambda text: text[:-3], "is not a lock"),
        (lambda text: "", "is not a lock"),
        (lambda text: "[]", "is not a lock"),
        (lambda text: "{}", "is not a lock: .*missing required field `lock_version`"),
        (lambda text: text.replace('"section"', '"part"'), "is not a lock: "),
        (lambda text: text.replace('"needs"', '"more": 1, "needs"'), "is not a lock: .*unknown field `more`"),
    ],
    ids=[
        "sentence",
        "region",
        "flag",
        "version",
        "version of another shape",
        "half",
        "without its end",
        "empty",
        "list",
        "object",
        "field renamed",
        "field added",
    ],
)
def test_a_malformed_or_edited_lock_is_refused(new: Folders, change: Edit, message: str) -> None:
    folder = new()
    write_lock(lock_of(folder), folder / LOCK)
    text = (folder / LOCK).read_text("utf-8")
    assert change(text) != text
    (folder / LOCK).write_text(change(text), encoding="utf-8")
    with pytest.raises(InvalidLock, match=message):
        read_lock(folder / LOCK)


def test_invalid_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_bytes(b'{"lock_version": 1, "claims": [{"digest": "\xff\xfe"}]}')
    with pytest.raises(InvalidLock, match="is not a lock"):
        read_lock(tmp_path / LOCK)


def test_a_missing_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidLock, match=r"lock '.*claims\.lock' can't be read: No such file"):
        read_lock(tmp_path / LOCK)


# Finding a lock.


def test_the_nearest_lock_up_to_the_top_applies(tmp_path: Path) -> None:
    deep = tmp_path / "project" / "claims" / "deep"
    deep.mkdir(parents=True)
    project = tmp_path / "project"
    (tmp_path / LOCK).touch()
    assert nearest(deep, project) is None
    (project / LOCK).touch()
    assert nearest(deep, project) == project / LOCK
    (project / "claims" / LOCK).touch()
    assert nearest(deep, project) == project / "claims" / LOCK
    assert nearest(project, project) == project / LOCK
    assert nearest(deep, deep) is None


# The repository's own claims.


def test_the_repository_lock_matches_its_claims() -> None:
    """If this fails, a claim was changed: say so in CHANGELOG.md, and run ``pathlen lock claims/``."""
    assert read_lock(CLAIMS / LOCK).deviations(lock_of(CLAIMS).declarations) == []


def test_the_repository_lock_holds_exactly_its_claims(tmp_path: Path) -> None:
    lock = lock_of(CLAIMS)
    assert read_lock(CLAIMS / LOCK).declarations == lock.declarations
    write_lock(lock, tmp_path / LOCK)
    assert (tmp_path / LOCK).read_bytes() == (CLAIMS / LOCK).read_bytes()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            (
                "class TestGroup:\n    EDGE = 5\n\n    @claim(sizes=SIZES, expect=below(0.0), controls=[SHIFTED])\n"
                '    def test_grouped(self, measured):\n        """A claim of a class."""\n        return self.EDGE\n'
            ),
            ("EDGE = 5", "EDGE = 7"),
        ),
        (
            (
                "def make(edge):\n    @claim(sizes=SIZES, expect=below(0.0), controls=[SHIFTED])\n    def test_made(measured):\n"
                '        """A claim that was made."""\n        return edge\n\n    return test_made\n\n\ntest_made = make(5)\n'
            ),
            ("make(5)", "make(6)"),
        ),
    ],
    ids=["class attribute", "enclosed variable"],
)
def test_attributes_of_its_class_and_enclosed_variables_are_part_of_a_claim(
    tmp_path: Path, before: str, after: tuple[str, str]
) -> None:
    locks = []
    for number, text in enumerate((before, before.replace(*after))):
        folder = tmp_path / str(number)
        folder.mkdir()
        head = "from pathlen import SHIFTED, SIZES, below, claim\n\n\n"
        (folder / "test_x.py").write_text(head + text, encoding="utf-8")
        locks.append(lock_of(folder))
    assert locks[0].digest != locks[1].digest
