"""`ucoder push RUN --repo NAME`: the best checkpoint of a run and its self-made problems, to the Hugging Face Hub.

ucoder push runs/seedling --repo me/ucoder-seedling                    # model me/ucoder-seedling, dataset me/ucoder-seedling-problems
ucoder push runs/seedling --repo me/ucoder-seedling --dry-run out      # the same files, to out/model and out/dataset
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rewards.user_error import Options
from rewards.user_files import check_writable
from rl.console import UserError, make_console
from rl.run_data import read_run


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    parser = Options(prog="ucoder push", description="Share a run's best checkpoint and its problems on the Hugging Face Hub.")
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--repo", required=True, metavar="NAME", help="model repository, user/name; the problems go to NAME-problems")
    parser.add_argument("--private", action="store_true", help="make both repositories private")
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write everything to this folder, and send nothing")
    args = parser.parse_args(argv)
    from rl.sharing.push import best_checkpoint, check_name, upload, write_folders  # needs huggingface_hub, which --help does not

    check_name(args.repo)
    run, console = read_run(args.run_dir), make_console()
    checkpoint = best_checkpoint(run)
    if args.dry_run is not None:
        if args.dry_run.exists() and (not args.dry_run.is_dir() or any(args.dry_run.iterdir())):
            raise UserError("there is something there already", str(args.dry_run), "name a folder that is new or empty")
        check_writable(args.dry_run / "model", "--dry-run")
        write_folders(run, checkpoint, args.repo, args.dry_run)
        for kind in ("model", "dataset"):
            console.print(f"{kind:<8} {args.dry_run / kind}", markup=False, highlight=False, soft_wrap=True)
        return 0
    with tempfile.TemporaryDirectory(prefix="ucoder-push-") as folder:
        write_folders(run, checkpoint, args.repo, Path(folder))
        for url in upload(Path(folder), args.repo, args.private):
            console.print(url, markup=False, highlight=False, soft_wrap=True)
    return 0
