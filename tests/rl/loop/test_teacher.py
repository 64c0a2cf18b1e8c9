"""The teacher: a mean of the run's checkpoints, in the shares of a moving average."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rl.config.schema import Config
from rl.loop.round import Round, RoundError
from rl.loop.teacher import choose_teacher, mean_policy, teacher_shares
from rl.models.checkpoints import MANIFEST, load_policy, save_policy
from rl.round_files import Stage
from tests.rl.tiny import save_tiny_policy


class FakeRun:
    """A run of one process whose rounds have left checkpoints of random weights."""

    main = True

    def __init__(self, folder: Path, decay: float, trained: int) -> None:
        self.folder, self.config = folder, Config.model_validate({"rounds": 9, "teacher": {"decay": decay}, "audit": False})
        self.model = str(save_tiny_policy(folder / "base"))
        self.state = SimpleNamespace(wait_for_everyone=lambda: None)
        self.made: list[str] = []
        for number in range(1, trained + 1):
            path = self.round_folder(number) / "grpo" / "checkpoint"
            save_policy(*load_policy(save_tiny_policy(folder / f"source_{number}", seed=number)), path)
            (self.round_folder(number) / "training.json").write_text(json.dumps({"checkpoint": str(path.relative_to(folder))}))

    def round_folder(self, index: int, make: bool = True) -> Path:
        folder = self.folder / f"round_{index:02d}"
        if make:
            folder.mkdir(exist_ok=True)
        return folder

    @contextmanager
    def bar(self, *words: Any) -> Any:
        yield lambda done: None

    def once(self, index: int, stage: Stage[Any, Any], compute: Any) -> Any:
        path = self.round_folder(index) / stage.file
        if not path.exists():
            self.made.append(stage.file)
            stage.write(path, made := compute())
            if not stage.read_back:
                return made
        return stage.read(path)

    def teacher(self, index: int) -> str:
        current = Round(self, index, "the start")  # type: ignore[arg-type]
        choose_teacher(current)
        return current.teacher


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def test_shares_are_those_of_the_recursion() -> None:
    decay, starts = 0.7, [0, 1, 2, 1]  # round 4 went back to round 1's checkpoint
    teacher = torch.zeros(3).scatter(0, torch.tensor(starts[0]), 1.0)
    for start in starts[1:]:
        teacher = decay * teacher + (1 - decay) * torch.eye(3)[start]
    assert torch.allclose(torch.tensor([teacher_shares(starts, decay)[k] for k in range(3)]), teacher)


def test_a_mean_of_three_checkpoints_has_the_mean_of_each_weight_in_it(tmp_path: Path) -> None:
    folders = [save_tiny_policy(tmp_path / str(seed), seed=seed) for seed in range(3)]
    shares = [0.5, 0.2, 0.3]
    model, _ = mean_policy({str(folder): share for folder, share in zip(folders, shares, strict=True)}, "float32")
    save_policy(model, load_policy(folders[0])[1], tmp_path / "mean")
    mean, single = weights(tmp_path / "mean"), [weights(folder) for folder in folders]
    assert mean.keys() == single[0].keys()
    for name, value in mean.items():
        wanted = sum(share * one[name].double() for share, one in zip(shares, single, strict=True))
        assert torch.allclose(value.double(), wanted, atol=1e-6), name


def test_a_mean_in_bfloat16_is_rounded_once(tmp_path: Path) -> None:
    folder = save_tiny_policy(tmp_path / "one")
    model, tokenizer = load_policy(folder)
    save_policy(model.bfloat16(), tokenizer, tmp_path / "rounded")
    mean = mean_policy({str(tmp_path / "rounded"): 1 / 3, str(folder): 2 / 3}, "bfloat16")[0]
    one, other = (
        weights(folder)["model.layers.0.mlp.up_proj.weight"],
        weights(tmp_path / "rounded")["model.layers.0.mlp.up_proj.weight"].float(),
    )
    assert torch.equal(mean.get_parameter("model.layers.0.mlp.up_proj.weight"), (one * 2 / 3 + other / 3).bfloat16())


def test_checkpoints_of_other_shapes_are_refused(tmp_path: Path) -> None:
    one = save_tiny_policy(tmp_path / "one")
    model, tokenizer = load_policy(one)
    model.resize_token_embeddings(40)
    save_policy(model, tokenizer, tmp_path / "other")
    with pytest.raises(RoundError, match=r"teacher\.decay"):
        mean_policy({str(one): 0.5, str(tmp_path / "other"): 0.5}, "float32")


@pytest.mark.parametrize(("decay", "wanted"), [(0.0, "round_02/grpo/checkpoint"), (1.0, "base")])
def test_at_the_ends_of_the_scale_no_weights_are_made(tmp_path: Path, decay: float, wanted: str) -> None:
    run = FakeRun(tmp_path, decay, trained=2)
    assert run.teacher(3) == str(tmp_path / wanted)
    assert not run.made


def test_the_first_teacher_is_the_base_and_the_next_lags_behind(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, 0.75, trained=1)
    assert run.teacher(1) == run.model
    teacher, base, first = weights(run.teacher(2)), weights(run.model), weights(tmp_path / "round_01/grpo/checkpoint")
    assert all(torch.allclose(teacher[name], 0.75 * base[name] + 0.25 * first[name], atol=1e-6) for name in base)


def test_a_teacher_is_made_once_and_never_used_damaged(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, 0.5, trained=1)
    folder = Path(run.teacher(2))
    assert run.teacher(2) == str(folder) and len(run.made) == 1
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(RoundError, match=r"Delete .*teacher"):
        run.teacher(2)
    shutil.rmtree(folder)
    assert run.teacher(2) == str(folder) and len(run.made) == 2


def test_no_damaged_checkpoint_goes_into_a_mean(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, 0.5, trained=2)
    weights = tmp_path / "round_01/grpo/checkpoint/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(RoundError, match=r"round 1's checkpoint.*Delete round 1 and all after it"):
        run.teacher(3)


def test_a_round_that_is_over_needs_no_teacher(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, 0.5, trained=3)
    assert run.teacher(2) == "the start" and not run.made


def test_teachers_of_rounds_that_are_over_take_no_room(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, 0.5, trained=3)
    (tmp_path / "round_03" / "training.json").rename(tmp_path / "later")
    for index in (2, 3):
        run.teacher(index)
    (tmp_path / "later").rename(tmp_path / "round_03" / "training.json")
    run.teacher(4)
    kept = [path.parent.parent.name for path in sorted(tmp_path.glob(f"round_*/teacher/{MANIFEST}"))]
    assert kept == ["round_03", "round_04"]
