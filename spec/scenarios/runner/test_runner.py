"""The runner's own tests: a scenario that should fail does. `python3 -m unittest discover spec/scenarios`."""

from __future__ import annotations

import json
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runner.adapter import UNSEEN, Call, Outcome, Refusal
from runner.matching import differences
from runner.play import Failed, Player
from runner.story import load, load_all
from runner.values import filled


class _Scripted:
    """Gives the answers it was told to."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)

    def knows(self, _: Call) -> bool:
        return True

    def call(self, _: Call) -> Outcome:
        return self.outcomes.pop(0)

    def open(self, _: Call) -> Outcome:
        return self.outcomes.pop(0)

    def close(self) -> None:
        pass


def _played(expect: dict[str, Any], *outcomes: Outcome, **more: Any) -> None:
    Player(_Scripted(*outcomes)).steps([{"do": "x", "expect": expect, **more}], "steps")


class Matching(unittest.TestCase):
    def test_what_differs_is_named_with_its_place(self) -> None:
        cases: list[tuple[Any, Any, str]] = [
            ({"a": 1}, {"a": 2}, "/a"),
            ({"a": {"b": "$absent"}}, {"a": {"b": None}}, "/a/b"),
            ({"a": "$any"}, {}, "/a"),
            ({"a": True}, {"a": 1}, "/a"),
            ([1], [1, 2], "the whole"),
            ({"$exactly": {"a": 1}}, {"a": 1, "b": 2}, "the whole"),
            ({"a": {"$number": {"min": 2}}}, {"a": 1}, "/a"),
            ({"a": {"$string": {"has": "x"}}}, {"a": "y"}, "/a"),
            ({"a": {"$string": {"lacks": "y"}}}, {"a": "y"}, "/a"),
            ({"a": {"$has": [2]}}, {"a": [1]}, "/a"),
            ({"a": {"$lacks": [1]}}, {"a": [1]}, "/a"),
            ({"a": {"$each": "$string"}}, {"a": ["x", 1]}, "/a/1"),
            ({"a": {"$size": 2}}, {"a": [1]}, "/a"),
            ({"a": {"$one_of": [1, 2]}}, {"a": 3}, "/a"),
            ({"a": {"$optional": 1}}, {"a": 2}, "/a"),
            ({"a": {"$names": {"by": "n", "are": ["x"]}}}, {"a": [{"n": "y"}]}, "/a/0"),
        ]
        for expected, actual, place in cases:
            found = differences(expected, actual, {})
            self.assertEqual(len(found), 1, (expected, actual, found))
            self.assertTrue(found[0].startswith(place), found)

    def test_what_fits_fits_and_is_captured(self) -> None:
        variables: dict[str, Any] = {}
        expected = {"a": {"$capture": {"as": "m", "is": "$integer"}}, "b": ["$any", {"c": 1.0}]}
        self.assertEqual(
            differences(expected, {"a": 7, "b": [None, {"c": 1, "d": 2}], "e": 0}, variables), []
        )
        self.assertEqual(variables, {"m": 7})

    def test_a_misspelt_matcher_is_an_error(self) -> None:
        with self.assertRaises(ValueError):
            differences({"a": {"$strong": {}}}, {"a": ""}, {})


class Playing(unittest.TestCase):
    def test_an_answer_that_is_not_expected_fails_the_story(self) -> None:
        refused = Outcome({}, 404, {}, "", Refusal("NOT_FOUND", "gone"))
        cases: list[tuple[dict[str, Any], Outcome]] = [
            ({"status": 200}, refused),
            ({"body": {"a": 1}}, Outcome({}, 200, {}, "")),
            ({"error": "NOT_FOUND"}, Outcome({}, 200, {}, "")),
            ({"error": "EXPIRED"}, refused),
            ({"error": "NOT_FOUND", "message": "other"}, refused),
            ({"status": 200, "headers": {"Allow": "GET"}}, Outcome({}, 200, {}, "")),
            ({"status": 200}, Outcome(UNSEEN, refusal=Refusal("NOT_FOUND", "gone"))),
            ({"error": "NOT_FOUND"}, Outcome(UNSEEN)),
        ]
        for expect, outcome in cases:
            with self.assertRaises(Failed, msg=f"{expect} {outcome}"):
                _played(expect, outcome)
        _played({"error": "NOT_FOUND", "message": "gone"}, refused)

    def test_what_is_eventually_so_may_first_be_otherwise(self) -> None:
        answers = [Outcome({"n": n}, 200, {}, "") for n in (1, 2)]
        _played({"body": {"n": 2}}, *answers, eventually={"within_ms": 5_000})


class Stories(unittest.TestCase):
    def test_values_keep_their_kind(self) -> None:
        variables = {"n": 1, "m": {"l": ["a", {"x": None}]}}
        self.assertEqual(
            filled({"k": "${n}", "b": "n=${n}", "c": "${m.l.1.x}", "${m.l.0}": "${n+2}"}, variables),
            {"k": 1, "b": "n=1", "c": None, "a": 3},
        )
        with self.assertRaises(KeyError):
            filled("${none}", {})

    def test_a_story_that_is_not_well_formed_is_refused(self) -> None:
        whole = {"story": "s", "contract": "c", "steps": [{"do": "x", "expect": {"status": 200}}]}
        changes: list[dict[str, Any]] = [
            {"stroy": 1},
            {"steps": []},
            {"steps": [{"do": "x"}]},
            {"steps": [{"sleep": 1}]},
            {"steps": [{"do": "x", "expect": {"stauts": 200}}]},
        ]
        for change in changes:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "s.json"
                path.write_text(json.dumps(whole | change))
                with self.assertRaises(ValueError):
                    load(path)

    def test_every_story_here_is_well_formed(self) -> None:
        self.assertGreater(len(load_all()), 50)


if __name__ == "__main__":
    unittest.main()
