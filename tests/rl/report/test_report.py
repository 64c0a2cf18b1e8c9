"""The report: what it says follows from the run's files, it stands alone, and a browser shows it without complaint."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from rl.console import UserError
from rl.marking.marks import read_marks
from rl.report import write_report
from rl.report.answers import answer_counts
from rl.report.browser import browser_data, choose_problems, problems_of
from rl.report.cli import main
from rl.report.conclusion import conclude
from rl.report.plots import training_curve
from rl.report.reliability import claim_pairs
from rl.report.screenshot import FLAGS, find_browser
from rl.run_data import RunData, read_run
from tests.rl.fake_run import INPUTS, write_run

pytestmark = pytest.mark.slow

STAGE_5 = "its own problems (stage 5)"
SECTIONS = ("verdict", "learning", "funnel", "judge", "clusters", "guards", "time", "config")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_every_section_is_there(page: str) -> None:
    assert re.findall(r'<section id="(\w+)"', page) == list(SECTIONS)
    assert "The model improved by 13.0 points of pass@1." in page
    assert page.count("<svg") == 19  # 2 learning curves, 11 training curves, funnel, 4 of the conclude, time


def test_answers_without_a_program_have_a_count_of_their_own(folder: Path, page: str) -> None:
    counts = answer_counts(read_run(folder))
    assert [(c.round, c.where, c.no_program) for c in counts[:3]] == [(0, "seedling", 1234), (1, STAGE_5, 14), (1, "seedling", 1234)]
    assert (counts[0].answers, counts[0].passed, counts[0].wrong, counts[0].failed, counts[0].missing) == (3200, 1000, 500, 433, 2)
    assert (counts[1].passed, counts[1].wrong) == (None, None), "nobody knows what is right there"
    assert "<th>no program</th>" in page and "<td>1,234</td>" in page
    assert {problem["without_program"] for problem in browser_data(read_run(folder))["problems"]} == {1}
    assert "Rollouts without a program" in page


def test_outcomes_that_a_run_did_not_write_are_no_row(folder: Path) -> None:
    data = read_run(folder)
    rows = [{**row, "benchmarks": {"toy": {"pass@1": 0.1}}} for row in data.rows]
    assert answer_counts(RunData(**{**data.__dict__, "rows": rows, "metrics": ()})) == []


def test_it_needs_no_network(page: str) -> None:
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) == []
    assert "@import" not in page
    assert {re.sub(r"\).*", "", found) for found in re.findall(r"url\([^)]*\)", page) if not found.startswith("url(#")} == set()


def test_plots_take_their_colours_from_the_theme(page: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert "var(--" in svg
        assert re.findall(r"(?:fill|stroke): #(?!0{6}\b)[0-9a-f]{6}", svg) == []


def test_ids_are_unique(page: str) -> None:
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_the_same_run_gives_the_same_bytes(folder: Path, page: str, tmp_path: Path) -> None:
    assert write_report(folder, tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_an_unaudited_run_says_so(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", rounds=1, audited=False, guards=False))
    checks = {check.title: check.status for check in conclude(run).checks}
    assert checks["Were the labels better than the model?"] == "unknown"
    assert checks["Did the guards stay quiet?"] == "good"
    assert claim_pairs(run).shares == []
    assert claim_pairs(run).truth == "consensus"


def test_the_share_of_proposals_in_the_band_is_shown_where_the_proposer_was_trained(page: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rounds=2)
    with (run / "metrics.jsonl").open("a") as file:
        for number, (in_band, reward) in enumerate([(0.25, 0.5), (None, None)], 1):
            figures = {"in_band": in_band, "mean_reward": reward}
            file.write(json.dumps({"round": number, "stage": "proposals", "step": None, "time": 1.0, **figures}) + "\n")
    assert "round 1 25.0 %, 0.50; round 2 –, –." in write_report(run).read_text(encoding="utf-8")
    assert "The proposer was trained" not in page


def inputs_table(page: str) -> list[list[str]]:
    part = page.split("Could the self-written test inputs")[1].split("</table>")[0]
    return [re.findall(r"<t[hd]>([^<]*)</t[hd]>", row) for row in part.split("<tr>")[1:]]


def test_each_round_says_whether_its_inputs_could_tell_programs_apart(page: str) -> None:
    heads, *rows = inputs_table(page)
    assert heads == ["round", "inputs", "rank", "dead", "duplicates", "p", "bounded, optimistic", "hidden", "pool needed"]
    assert rows == [[str(number), "6.0", "3.0", "12.5", "50.0", "0.250", "50.0", "12.5", "96.0"] for number in (1, 2, 3)]


def test_what_was_not_measured_of_the_inputs_is_a_dash(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rounds=1)
    logged = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(logged.replace('"median_wrong_agreement": 0.25', '"median_wrong_agreement": null'))
    assert inputs_table(write_report(run).read_text(encoding="utf-8"))[1][5] == "–"


def test_a_run_under_way_is_reported_from_its_rounds(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rounds=2)
    (folder / "summary.json").unlink()
    (folder / "round_02" / "metrics.json").unlink()
    run = read_run(folder)
    assert [row["round"] for row in run.rows] == [0, 1]
    assert not run.finished


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_a_run_is_refused(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "empty"
    if made:
        folder.mkdir()
    with pytest.raises(UserError) as caught:
        read_run(folder)
    assert caught.value.where == str(folder)


def test_a_cut_summary_is_named(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"base": ')
    with pytest.raises(UserError, match="not valid JSON"):
        read_run(tmp_path)


def test_the_browser_shows_what_the_files_hold(folder: Path) -> None:
    files = read_run(folder).rounds[1]
    verdicts = {row["problem_id"]: row for row in files.rows("clusters")}
    views = problems_of(files)
    assert len(views) == 6
    assert [view.top_share for view in views] == sorted((view.top_share for view in views), reverse=True)
    for view in views:
        verdict = verdicts[view.id]
        assert [cluster.members for cluster in view.clusters] == verdict["counts"]
        assert sum(cluster.share for cluster in view.clusters) == pytest.approx(1.0)
        assert [cluster.winner for cluster in view.clusters].index(True) == verdict["top"]
        assert view.inputs == INPUTS
        assert view.clusters[0].outcomes[0] == ("value", "2")
        assert "sum(x for x in xs" in view.clusters[0].code


def test_chosen_problems_spread_over_agreement() -> None:
    verdicts = [{"problem_id": str(i), "counts": [1], "kept": True, "top_share": i / 20} for i in range(21)]
    assert [row["top_share"] for row in choose_problems(verdicts, 5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_steps_are_counted_over_rounds(folder: Path) -> None:
    assert [row["global_step"] for row in read_run(folder).training_steps()] == list(range(1, 73))


def test_the_losses_of_sft_and_of_grpo_are_two_curves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[int]] = []

    def keep(figure: Figure, *_: str) -> str:
        drawn.extend(list(line.get_xdata()) for line in figure.axes[0].lines)
        return ""

    monkeypatch.setattr("rl.report.plots.to_svg", keep)
    loss = [{"round": 1, "stage": stage, "step": step, "loss": 0.1 * step} for stage in ("sft", "grpo") for step in (1, 2, 3)]
    event = {"round": 1, "stage": "guards", "step": 2, "guard_action": "raise_kl", "guard": "kl", "cause": "KL"}
    training_curve([("run", replace(read_run(folder), metrics=(*loss, event)))], "loss", "loss", "Loss")
    assert drawn == [[1, 2, 3], [4, 5, 6], [5]], "two curves, and the guard's mark at a step of GRPO"


def test_two_runs_side_by_side(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_run(tmp_path / "second", rounds=2, gain=0.02, audited=False, seed=4)
    out = tmp_path / "both.html"
    assert main([str(folder), "--compare", str(other), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    text = out.read_text(encoding="utf-8")
    assert text.count('<div class="score">') == 2
    for section, heads in {"funnel": 2, "judge": 2, "guards": 2, "time": 2}.items():
        part = text.split(f'<section id="{section}"')[1].split("</section>")[0]
        assert part.count("<h3>first</h3>") + part.count("<h3>second</h3>") == heads, section
    ids = re.findall(r'\sid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    differing = set(re.findall(r'<tr><th class="left">([\w.]+)</th><td class="left">', text))
    assert {"seed", "rounds", "run_dir"} <= differing


@pytest.mark.slow
def test_a_picture_is_taken(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if find_browser() is None:
        pytest.skip("no Chromium here")
    picture = tmp_path / "docs" / "report.png"
    words = ["--out", str(tmp_path / "report.html"), "--screenshot", str(picture), "--width", "390", "--height", "700", "--dark"]
    assert main([str(folder), *words]) == 0
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (390, 700)
    assert str(picture) in capsys.readouterr().out


def test_without_a_browser_there_is_no_picture_and_a_reason(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no Chromium"):
        main([str(folder), "--out", str(tmp_path / "report.html"), "--screenshot", str(tmp_path / "report.png")])


CHECK_PAGE = """<!doctype html><title>waiting</title><body><script>
const found = {}; let waiting = 0;
for (const [theme, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 390]]) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px`; waiting += 1;
  frame.onload = async () => {
    const page = frame.contentDocument, inner = frame.contentWindow, style = inner.getComputedStyle(page.body);
    inner.HTMLAnchorElement.prototype.click = () => {};
    const blobs = []; inner.URL.createObjectURL = (blob) => (blobs.push(blob), "blob:none");
    const title = () => page.querySelector(".problem h3").textContent;
    const first = title(), listed = page.querySelectorAll(".pick button").length;
    page.querySelector("[data-mark=right]").click();
    const second = title();
    scrollTo(0, 0); inner.scrollTo({top: 0, behavior: "instant"});
    page.body.dispatchEvent(new inner.KeyboardEvent("keydown", {key: "w", bubbles: true})); // not on the screen: no mark
    page.getElementById("clusters").scrollIntoView({behavior: "instant"});
    page.body.dispatchEvent(new inner.KeyboardEvent("keydown", {key: "w", bubbles: true}));
    page.body.dispatchEvent(new inner.KeyboardEvent("keydown", {key: "c", bubbles: true}));
    page.getElementById("export").click();
    const kept = Object.keys(JSON.parse(inner.localStorage.getItem(inner.localStorage.key(0)))).length;
    inner.localStorage.clear(); // the frames share it
    found[`${theme} ${width}`] = {overflow: page.documentElement.scrollWidth - width, listed, first, second,
      shown: page.querySelectorAll(".problem").length, background: style.backgroundColor,
      marked: page.getElementById("marked").textContent, marks: JSON.parse(await blobs[0].text()),
      kept,
      sections: [...page.querySelectorAll("main section")].filter((s) => s.offsetHeight > 0).length};
    waiting -= 1;
    if (!waiting) document.body.textContent = "RESULT" + JSON.stringify(found) + "END";
  };
  frame.src = "PAGE?theme=" + theme; document.body.append(frame);
}
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize("compared", [False, True])
def test_a_browser_shows_it_without_complaint(folder: Path, tmp_path: Path, compared: bool) -> None:
    chromium = find_browser()
    if chromium is None:
        pytest.skip("no Chromium here")
    other = write_run(tmp_path / "second", rounds=2, gain=0.02, audited=False, seed=4) if compared else None
    shown = write_report(folder, tmp_path / "shown.html", other)
    (tmp_path / "check.html").write_text(CHECK_PAGE.replace("PAGE", shown.as_uri()))
    flags = ("--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom")
    command = [chromium, *FLAGS, *flags, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "check.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    found = json.loads(done.stdout.split("RESULT")[1].split("END")[0])
    assert sorted(found) == ["dark 1280", "dark 390", "light 1280", "light 390"]
    order = browser_data(read_run(folder))["problems"]
    for view in found.values():
        assert view["overflow"] <= 0
        assert (view["shown"], view["listed"], view["sections"]) == (1, 42, len(SECTIONS))
        assert (view["first"], view["second"]) == (order[0]["title"], order[1]["title"])
        assert view["marked"].startswith("3 marked: 1 right, 1 wrong, 1 cannot tell")
        assert [(m["problem"], m["mark"]) for m in view["marks"]["marks"]] == [
            (order[0]["id"], "right"),
            (order[1]["id"], "wrong"),
            (order[2]["id"], "unclear"),
        ]
        assert view["kept"] == 3
    assert found["light 390"]["background"] != found["dark 390"]["background"]
    marks = tmp_path / "marks.json"
    marks.write_text(json.dumps(found["light 1280"]["marks"]))
    assert {m.problem: m.mark for m in read_marks(marks, read_run(folder))} == {m["problem"]: m["mark"] for m in view["marks"]["marks"]}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("round_02/clusters.jsonl", '{"problem_id": "r0'),
        ("round_02/clusters.jsonl", "[" * 100_000),
        ("round_02/executions.jsonl", '{"problem_id": "r01-0000"}'),
        ("round_01/problems.jsonl", "null"),
        ("config.yaml", "a: ["),
        ("config.yaml", "words"),
        ("config.yaml", "seed: 2026-13-41"),
        ("summary.json", '{"base": '),
        ("versions.json", "9" * 5000),
    ],
    ids=lambda text: text[:40],
)
def test_a_file_that_is_no_longer_whole_is_named(tmp_path: Path, file: str, text: str) -> None:
    run = write_run(tmp_path / "run", rounds=2)
    (run / file).write_text(text)
    with pytest.raises(UserError) as raised:
        write_report(run)
    assert str(run / file) in raised.value.where


@pytest.mark.parametrize("option", ["--out", "--screenshot"])
def test_a_place_that_cannot_be_written_is_said_before_any_work(folder: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "page.html", tmp_path):
        with pytest.raises(UserError, match=f"{option} cannot be written"):
            main([str(folder), option, str(place)])
