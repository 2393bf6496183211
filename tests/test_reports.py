"""Reports for machines: JSON by its schema, SARIF by another's model of it, Markdown, annotations, JUnit properties."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from outcomes import on_cpu

from lightning_conformance.checks import all_checks

sarif_pydantic = pytest.importorskip("sarif_pydantic")
SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "report.schema.json").read_text("utf-8"))
MODULES = ("--lightning-module=model.py:Model", "--lightning-module=model.py:Faulty")
FILES = ("out/report.json", "out/report.md", "out/report.sarif")
REPORTS = tuple(f"--lightning-report={file}" for file in FILES)


def reported(kit, *options):
    result = kit.run(*MODULES, *REPORTS, *options)
    return result, [(kit.path / file).read_text("utf-8") for file in FILES]


def test_the_json_report_obeys_its_schema_and_tells_all(kit):
    result, (text, _, _) = reported(kit)
    assert result.ret == 1
    data = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(data, SCHEMA)
    assert [cell["subject"] for cell in data["subjects"]] == ["model.py:Faulty", "model.py:Model"]
    faulty = data["subjects"][0]
    assert [verdict["check"] for verdict in faulty["verdicts"]] == [check.name for check in on_cpu()]
    assert sum(faulty["census"].values()) == len(on_cpu())
    [finding] = next(v for v in faulty["verdicts"] if v["check"] == "loss_returned")["findings"]
    assert finding["place"]["file"] == "model.py"
    assert finding["place"]["source"].strip() == "def training_step(self, batch, batch_idx):"
    assert finding["fails"]


def test_the_schema_refuses_what_is_no_report(kit):
    data = json.loads(reported(kit)[1][0])
    data["subjects"][0]["verdicts"][0]["outcome"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, SCHEMA)


def test_the_sarif_report_places_results_on_the_users_lines(kit):
    data = json.loads(reported(kit)[1][2])
    sarif_pydantic.Sarif.model_validate(data)
    run = data["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == [check.name for check in all_checks()]
    lines = (kit.path / "model.py").read_text("utf-8").splitlines()
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        location = result["locations"][0]["physicalLocation"]
        assert location["artifactLocation"] == {"uri": "model.py", "uriBaseId": "SRCROOT"}
        region = location["region"]
        assert lines[region["startLine"] - 1] == region["snippet"]["text"]
    assert {result["ruleId"] for result in run["results"]} == {"loss_returned", "weights_update"}
    fingerprints = [result["partialFingerprints"]["lightningConformance/v1"] for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_expected_failures_are_suppressed_in_sarif(kit):
    kit.run(*MODULES, "--lightning-baseline=known.json")
    results = json.loads(reported(kit, "--lightning-baseline=known.json")[1][2])["runs"][0]["results"]
    assert [result["suppressions"][0]["justification"] for result in results] == ["known, it stands in known.json"] * 2


def test_the_markdown_report_has_a_row_a_subject_and_folds_findings(kit):
    text = reported(kit)[1][1]
    assert "## Lightning conformance: 1 of 2 failed" in text
    assert sum(line.startswith("| ✅ | `model.py:Model` | cpu |") for line in text.splitlines()) == 1
    assert sum(line.startswith("| ❌ | `model.py:Faulty` | cpu |") for line in text.splitlines()) == 1
    assert text.count("<details") == text.count("</details>") == 2
    assert "**Fix:**\n\n```python\nreturn loss\n```" in text


def test_reports_are_the_same_under_xdist(kit):
    alone = reported(kit)[1]
    result = kit.run_apart(*MODULES, *REPORTS, "-n2")
    assert result.ret == 1
    assert [(kit.path / file).read_text("utf-8") for file in FILES] == alone


def test_a_report_that_cannot_be_written_fails_and_loses_nothing(kit, said):
    (kit.path / "taken").write_text("a file, not a folder")
    result = kit.run("--lightning-module=model.py:Model", "--lightning-report=taken/report.json", FILES and REPORTS[0])
    assert result.ret == 1
    assert "report      taken/report.json cannot be written" in said(result)
    assert "model.py:Model :: cpu: " in said(result)
    assert (kit.path / FILES[0]).exists()


def test_annotations_stand_on_the_users_lines(kit, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(kit.path.parent))
    result = kit.run(*MODULES)
    lines = [line for line in result.outlines if line.startswith("::")]
    number = (kit.path / "model.py").read_text("utf-8").splitlines().index("class Faulty(Model):") + 2
    file = f"{kit.path.name}/model.py"
    assert lines[0].startswith(f"::error file={file},line={number},title=loss_returned in model.py%3AFaulty (cpu)::")
    assert "%0A" in lines[0]
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    assert not [line for line in kit.run(*MODULES).outlines if line.startswith("::")]


def test_junit_tells_subject_environment_check_and_outcome(kit):
    kit.run(*MODULES, "--junitxml=junit.xml")
    found = set()
    for case in ElementTree.parse(kit.path / "junit.xml").iter("testcase"):
        told = {p.get("name"): p.get("value") for p in case.iter("property")}
        found.add((told["lightning_subject"], told["lightning_environment"], told["lightning_check"]))
        assert told["lightning_outcome"] in ("passed", "failed", "not applicable", "inconclusive")
        assert told["lightning_family"]
    assert len(found) == 2 * len(on_cpu())
