"""Packages that are offered to programs: they and what they require can be imported, and nothing else comes into reach."""

from __future__ import annotations

import ast
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig, SandboxError
from rewards.sandbox.library import other_packages
from rewards.sandbox.packages import PackagesError, make_offer
from tests.sandbox.attacks import test_attacks, test_more_attacks
from tests.sandbox.conftest import HEADER, HONEST, ISOLATIONS, QUICK, RIGHT, processes
from tests.sandbox.environments import install, make_environment

pytestmark = pytest.mark.slow

V, X = Kind.VALUE, Kind.EXCEPTION
NUMPY = "import numpy as np\ndef f(*a):\n    return "


@pytest.fixture(scope="module", params=ISOLATIONS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(isolation=request.param, packages=("numpy",), **QUICK)) as opened:
        yield opened


@pytest.fixture(scope="module")
def environment() -> Iterator[Path]:
    """one requires two and, as an extra, three; four is on its own; broken and restless behave badly when they are imported.

    Not under /tmp, where programs have their scratch folder.
    """
    made = make_environment(Path(tempfile.mkdtemp(dir="/var/tmp", prefix="ucoder-environment-")))
    install(made, "one", {"one/__init__.py": "import two\nX = two.X + 1\n", "one/late.py": "Y = 5\n"}, ("two>=1", "three; extra == 'more'"))
    install(made, "two", {"shared/two/__init__.py": "", "two.py": "import shared.two\nX = 1\n"})
    install(made, "three", {"three.py": "X = 3\n"})
    install(made, "four-things", {"four/__init__.py": "X = 4\n", "four_more/__init__.py": "import nothing_of_the_kind\n"})
    install(made, "broken", {"broken.py": "raise OSError('it wants a licence')\n"})
    waiting = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\nX = 7\n"
    install(made, "restless", {"restless.py": waiting})
    yield made
    shutil.rmtree(made)


def once(config: SandboxConfig, code: str, *inputs: str) -> Execution:
    with Sandbox(config) as opened:
        [execution] = opened.run([Program(code, "f", inputs or ("[]",))])
    return execution


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("np.float64(2.0)", "2.0"),
        ("np.float32(0.5)", "0.5"),
        ("np.int64(3)", "3"),
        ("np.bool_(True)", "True"),
        ("np.str_('a')", "'a'"),
        ("np.complex128(1j)", "complex(0.0, 1.0)"),
        ("np.longdouble(1.5)", "1.5"),
        ("[np.int8(1), (np.float64('nan'), {np.int64(1): np.bool_(False)})]", "[1, (nan, {1: False})]"),
        ("np.array([[1, 2], [3, 4]])", "array([[1, 2], [3, 4]])"),
        ("np.array([1, 2], dtype=np.int32)", "array([1, 2])"),
        ("np.array([1.0, 2.0])", "array([1.0, 2.0])"),
        ("np.array([0.1 + 0.2])", "array([0.3])"),
        ("np.array([True])", "array([True])"),
        ("np.array(5)", "array(5)"),
        ("np.zeros((0, 3))", "array([], shape=(0, 3))"),
        ("np.array([{'a': 1}, None], dtype=object)", "array([{'a': 1}, None])"),
        ("np.array([(1, 2.0)], dtype=[('a', int), ('b', float)])", "array([(1, 2.0)])"),
        ("np.datetime64('2020-01-02')", "datetime.date(2020, 1, 2)"),
        ("np.datetime64(0, 'ns')", "datetime64[ns](0)"),
        ("np.datetime64('NaT', 's')", "datetime64[s](NaT)"),
        ("np.timedelta64(1, 'D')", "datetime.timedelta(days=1)"),
        ("np.array([0], dtype='datetime64[ns]')", "array([0], dtype=datetime64[ns])"),
    ],
)
def test_values_of_numpy_have_a_canonical_form(first: Callable[..., Outcome], value: str, text: str) -> None:
    assert first(NUMPY + value) == Outcome(V, text)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("np.ma.array([1], mask=[True])", Kind.UNSERIALISABLE),
        ("np.array([object()])", Kind.UNSERIALISABLE),
        ("np.broadcast_to(np.int8(1), (10 ** 6, 10 ** 6))", Kind.TOO_LARGE),
        ("np.empty(1 << 28)", Kind.MEMORY),  # two gigabytes
    ],
)
def test_other_values_end_as_their_kind_says(first: Callable[..., Outcome], value: str, kind: Kind) -> None:
    assert first(NUMPY + value).kind is kind


def test_an_array_that_holds_itself_has_no_form(first: Callable[..., Outcome]) -> None:
    code = "import numpy as np\ndef f():\n    a = np.array([None])\n    a[0] = a\n    return a"
    assert first(code).kind is Kind.UNSERIALISABLE


def test_a_patched_numpy_changes_no_outcome(first: Callable[..., Outcome]) -> None:
    body = "    np.ndarray_, np.generic = None, None\n    np.float64 = np.array = None\n"
    code = f"import numpy as np\ndef f():\n    made = np.array([1.5]), np.float64(2)\n{body}    return made"
    assert first(code) == Outcome(V, "(array([1.5]), 2.0)")


def test_memory_is_counted_beyond_what_packages_take(first: Callable[..., Outcome]) -> None:
    assert first(NUMPY + "np.empty(240 << 20, np.int8).nbytes") == Outcome(V, str(240 << 20))  # of 256 MB
    assert first(NUMPY + "np.empty(480 << 20, np.int8).nbytes").kind is Kind.MEMORY


def test_an_import_costs_a_program_nothing(run: Callable[..., Execution]) -> None:
    code = "import time\nstart = time.monotonic()\nimport numpy\nspent = time.monotonic() - start\ndef f():\n    return spent < 0.02"
    assert run(code).outcomes[0] == Outcome(V, "True")


def test_chance_is_the_same_for_every_program(run: Callable[..., Execution]) -> None:
    code = NUMPY + "np.random.random(), np.random.default_rng().random()"
    assert run(code).outcomes == run(code + "  # again").outcomes


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_one_thread_computes(isolation: str) -> None:
    code = "import numpy, threadpoolctl\ndef f():\n    return [pool['num_threads'] for pool in threadpoolctl.threadpool_info()]"
    [outcome] = once(SandboxConfig(packages=("numpy", "threadpoolctl"), isolation=isolation, **QUICK), code).outcomes
    assert outcome.kind is V and set(ast.literal_eval(outcome.payload)) <= {1}


# reading the user's files, writing outside the scratch folder, the network: through what numpy has
REACHES = {
    "fromfile": ({X}, "return np.fromfile('{secret}', dtype='u1').tolist()"),
    "memmap": ({X}, "return np.memmap('{secret}', dtype='u1', mode='r').tolist()"),
    "loadtxt": ({X}, "return np.loadtxt('{secret}', dtype=str).tolist()"),
    "genfromtxt": ({X}, "return np.genfromtxt('{secret}', dtype=str).tolist()"),
    "load": ({X}, "return np.load('{secret}', allow_pickle=True)"),
    "open by libc": ({V}, "import ctypes\nreturn ctypes.CDLL(None).open(b'{secret}', 0)"),
    "open by numpy's own library": ({V, X}, "import ctypes\nreturn ctypes.CDLL(np._core._multiarray_umath.__file__).open(b'{secret}', 0)"),
    "a download": ({X}, "return np.lib.npyio.DataSource(None).open('http://127.0.0.1:1/x').read()"),
    "what else is installed": ({X}, "return open('{other}').read()"),
    "tofile": ({X}, "np.ones(3).tofile('{outside}/owned')"),
    "save": ({X}, "np.save('{outside}/owned', np.ones(3))"),
    "save over the package": ({X}, "np.save(np.__file__, np.ones(3))"),
    "writable memmap": ({X}, "np.memmap('{outside}/owned', dtype='u1', mode='w+', shape=3)[:] = 1"),
}


@pytest.mark.parametrize("name", REACHES)
def test_numpy_reaches_no_further_than_python(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("password")
    kinds, body = REACHES[name]
    places = {"secret": tmp_path / "secret", "outside": tmp_path, "other": Path(pytest.__file__)}
    for key, path in places.items():
        body = body.replace(f"{{{key}}}", str(path))
    code = "import numpy as np\ndef f():\n" + "\n".join("    " + line for line in body.splitlines())
    [execution] = sandbox.run([Program(code, "f", ("[]",))])
    assert execution.outcomes[0].kind in kinds, execution
    assert execution.outcomes[0].kind is X or execution.outcomes[0].payload == "-1", execution
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_the_folder_of_packages_does_not_show_what_else_is_there(run: Callable[..., Execution]) -> None:
    site = Path(np.__file__).parents[1]
    outcome = run(f"import os\ndef f():\n    return os.listdir({str(site)!r})").outcomes[0]
    assert outcome.kind is X or "pytest" not in outcome.payload


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("packages", [(), ("numpy",)], ids=["nothing offered", "numpy offered"])
def test_what_else_is_installed_beside_the_library_is_not_seen(packages: tuple[str, ...], isolation: str) -> None:
    config = SandboxConfig(packages=packages, isolation=isolation, **QUICK)
    places = [path for folder in (sys.base_prefix, "/usr", "/usr/local", "/") for path in Path(folder).glob("lib*/python*/*-packages")]
    hidden = [str(path) for path in places if any(path.glob("*"))]
    if not hidden:
        pytest.skip("no package is installed beside the library")
    body = "    found = set()\n    for place in places:\n        try:\n            found |= set(os.listdir(place))\n"
    body += "        except OSError:\n            pass\n    return sorted(found)"
    reading = "import sys\ndef f(places):\n    sys.path[:0] = places\n    import pip"
    opened = Sandbox(config)
    if isolation == "bwrap":
        opened.layers = replace(opened.layers, landlock=0)  # the mounts alone hide them
    with opened:
        seen, imported = opened.run([Program(code, "f", (f"[{hidden!r}]",)) for code in (f"import os\ndef f(places):\n{body}", reading)])
    assert seen.outcomes[0].kind is V and not {"pip", "pytest", "setuptools"} & set(ast.literal_eval(seen.outcomes[0].payload))
    assert imported.outcomes[0].kind in (Kind.NOT_OFFERED, X)


def test_packages_are_covered_wherever_they_are_mounted(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/python3/dist-packages").mkdir(parents=True)
    (tmp_path / "usr/lib64").symlink_to("lib")
    (tmp_path / "lib").symlink_to("usr/lib")
    found = other_packages([str(tmp_path / "usr"), str(tmp_path / "lib")])
    assert found == [str(tmp_path / below) for below in ("lib/python3/dist-packages", "usr/lib/python3/dist-packages")]


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_packages_beside_the_library_can_be_offered(isolation: str) -> None:
    base = Path(sys.base_prefix)
    try:
        make_offer(("pip",), base)
    except PackagesError as error:
        pytest.skip(str(error))
    config = SandboxConfig(packages=("pip",), environment=base, isolation=isolation, **QUICK)
    assert once(config, "import pip\ndef f():\n    return pip.__name__").outcomes[0] == Outcome(V, "'pip'")
    assert once(config, "def f():\n    import setuptools").outcomes[0] == Outcome(Kind.NOT_OFFERED, "setuptools")


def test_the_whole_library_can_be_imported_also_after_its_folders_were_forgotten(run: Callable[..., Execution]) -> None:
    code = "import importlib\nimportlib.invalidate_caches()\nimport wave, xml.dom, sqlite3, email.mime.text, zoneinfo, ssl\n"
    assert run(code + "def f():\n    return str(zoneinfo.ZoneInfo('UTC'))").outcomes[0] == Outcome(V, "'UTC'")


@pytest.mark.slow
def test_the_attacks_are_survived_with_packages_too(sandbox: Sandbox) -> None:
    attacks = test_attacks.ATTACKS | test_more_attacks.ATTACKS
    bodies = [f"import numpy\n{body}".splitlines() for _, body in attacks.values()]
    hostile = [Program(HEADER + "\n".join(f"    {line}" for line in body), "f", ("[]",)) for body in bodies]
    before = processes()
    honest = [replace(HONEST, code=f"{HONEST.code}\n# {n}") for n in range(len(hostile))]  # equal ones would run once
    executions = list(sandbox.run([program for pair in zip(hostile, honest, strict=True) for program in pair]))
    assert {execution.outcomes for execution in executions[1::2]} == {RIGHT}
    kinds = {name: execution.outcomes[0].kind for name, execution in zip(attacks, executions[::2], strict=True)}
    assert {name: kind for name, kind in kinds.items() if kind not in attacks[name][0] | {Kind.TIMEOUT}} == {}  # a busy machine
    assert processes() == before and "owned" not in os.listdir("/tmp")


def test_requirements_come_along_and_nothing_else(environment: Path) -> None:
    offer = make_offer(("one",), environment)
    assert offer.tops == ("one", "shared", "two")
    assert make_offer(("one[more]",), environment).tops == ("one", "shared", "three", "two")
    assert offer.versions == ("one 1.0", "two 1.0")
    [site] = environment.glob("lib/python*/site-packages")
    assert {str(Path(path).relative_to(site.resolve())) for path in offer.paths} == {
        *("one", "one-1.0.dist-info", "two.py", "two-1.0.dist-info"),
        "shared/two",  # of a namespace only what is the distribution's own
    }


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_programs_import_what_is_offered_and_miss_the_rest(environment: Path, isolation: str) -> None:
    config = SandboxConfig(packages=("one",), environment=environment, isolation=isolation, **QUICK)
    code = "import one.late, shared.two, importlib.metadata as m\ndef f():\n    return one.X, one.late.Y, m.version('one')"
    assert once(config, code).outcomes == (Outcome(V, "(2, 5, '1.0')"),)
    assert once(config, "def f():\n    import three").outcomes == (Outcome(Kind.NOT_OFFERED, "three"),)
    assert once(config, "def f():\n    import one.nothing").outcomes == (Outcome(X, "ModuleNotFoundError"),)


def test_a_package_is_found_by_its_modules_name(environment: Path) -> None:
    assert make_offer(("four",), environment).wanted == (("four",),)
    config = SandboxConfig(packages=("four-things",), environment=environment, **QUICK)  # one of its modules wants what is not there
    assert once(config, "import four\ndef f():\n    return four.X").outcomes == (Outcome(V, "4"),)


def test_a_package_that_starts_threads_is_imported_by_each_program(environment: Path) -> None:
    config = SandboxConfig(packages=("restless", "one"), environment=environment, **QUICK)
    code = "import sys\nbefore = [name in sys.modules for name in ('restless', 'one')]\nimport restless, one\n"
    code += "def f():\n    return before, restless.X"
    assert once(config, code).outcomes == (Outcome(V, "([False, True], 7)"),)


def test_a_package_that_is_not_installed_is_refused_before_work(environment: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagesError, match="no-such-package is not installed"):
        make_offer(("numpy", "no-such-package"))
    with pytest.raises(SandboxError, match="numpy is not installed in"):
        Sandbox(SandboxConfig(packages=("numpy",), environment=environment))
    with pytest.raises(SandboxError, match="is no virtual environment"):
        Sandbox(SandboxConfig(environment=tmp_path))


def test_an_environment_under_the_scratch_folder_is_refused(tmp_path: Path) -> None:
    config = SandboxConfig(packages=("three",), environment=make_environment(tmp_path / "environment"), isolation="bwrap", **QUICK)
    install(tmp_path / "environment", "three", {"three.py": "X = 3\n"})
    with pytest.raises(SandboxError, match=r"under /tmp, where programs have their scratch folder|bubblewrap"):
        Sandbox(config)


def test_a_package_that_cannot_be_imported_says_why(environment: Path) -> None:
    config = SandboxConfig(packages=("one", "broken"), environment=environment, **QUICK)
    with pytest.raises(SandboxError, match="broken cannot be imported: OSError: it wants a licence"), Sandbox(config):
        pass


def test_what_is_kept_on_disk_is_kept_for_the_packages(tmp_path: Path) -> None:
    code = "import numpy\ndef f():\n    return 1"
    without = SandboxConfig(cache_dir=tmp_path, **QUICK)
    assert once(without, code).outcomes[0].kind is Kind.NOT_OFFERED
    assert once(without.model_copy(update={"packages": ("numpy",)}), code).outcomes[0] == Outcome(V, "1")
