"""What holds of every executor: the same shards to the last bit, and a fault of one shard stays with it.

Workers are real processes, and die by a real signal. Columns that misbehave stand in a module of their own, for a worker imports
them by name.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pathlen.columns.catalog import CUSTOM_COLUMNS
from pathlen.corpora import measure as fleet
from pathlen.corpora import worker as workers
from pathlen.corpora.corpus import open_corpus
from pathlen.corpora.measure import measure_corpus, processes
from pathlen.corpora.shard import packed
from pathlen.corpora.worker import Job, Made
from pathlen.corpora.writer import CorpusWriter
from pathlen.errors import CorpusFailed, InvalidCorpus
from pathlen.models.checkpoint import from_directory
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import NAMES, shipped
from pathlen.traces.tracer import Tracer

COLUMNS = ("step_length", "next_logit")
ODD = 7  # tokens of the text on which columns misbehave; no other has so few
MISBEHAVING = f'''"""Columns that misbehave on a text of {ODD} tokens."""

import os
import signal
from pathlib import Path

from pathlen import measures

DIED = Path(__file__).with_name("died")


@measures(at="end", unit="1")
def poisoned(last, final):
    """Can't be computed of one text."""
    if len(last) == {ODD}:
        raise ArithmeticError("seven")
    return last.sum(dim=-1)


@measures(at="end", unit="1")
def deadly_once(last, final):
    """Kills its process, once."""
    if len(last) == {ODD} and not DIED.exists():
        DIED.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return last.sum(dim=-1)


@measures(at="end", unit="1")
def deadly(last, final):
    """Kills its process, always."""
    if len(last) == {ODD}:
        os.kill(os.getpid(), signal.SIGKILL)
    return last.sum(dim=-1)


def held():
    """Which model this process holds."""
    from pathlen.corpora import worker as workers

    return os.getpid(), [id(one) for one in workers._held.values()]
'''
EXECUTORS = ("serial", "threads", "processes", "dask")


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The module of columns that misbehave, where every worker finds it; a file beside it remembers who died."""
    folder = tmp_path_factory.mktemp("misbehaving")
    (folder / "misbehaving_columns.py").write_text(MISBEHAVING, encoding="utf-8")
    sys.path.insert(0, str(folder))
    importlib.import_module("misbehaving_columns")
    yield folder
    sys.path.remove(str(folder))
    del sys.modules["misbehaving_columns"]
    for name in ("poisoned", "deadly_once", "deadly"):
        del CUSTOM_COLUMNS[name]


@pytest.fixture
def nobody_died(misbehaving: Path) -> None:
    (misbehaving / "died").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def dask(pool: Executor) -> Iterator[Executor]:
    """Two workers of Dask, forked from the server that the pool has started, for it has imported torch already."""
    import dask
    from distributed import Client, LocalCluster

    quick = {
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.scheduler.allowed-failures": 1,  # by default three, each of which starts a worker
    }
    with (
        dask.config.set(quick),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


@pytest.fixture(scope="module")
def pool(misbehaving: Path) -> Iterator[Executor]:
    with processes(1)() as made:
        made.submit(os.getpid).result()
        yield made


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each executor in turn: started once, for that takes seconds."""
    if request.param == "serial":
        yield None
    elif request.param == "threads":
        with ThreadPoolExecutor(3) as threads:
            yield threads
    else:
        yield request.getfixturevalue("pool" if request.param == "processes" else "dask")


def some_texts(tiny: LoadedModel, *, odd: int | None = None) -> list[Passage]:
    """Ten texts, one of which may have an odd number of tokens."""
    texts = [Passage(name=name, text=shipped(name).text[:200], origin="test") for name in NAMES[:10]]
    if odd is not None:
        text = str(tiny.tokenizer.decode(tiny.token_ids(texts[odd].text)[:ODD]))
        texts[odd] = Passage(name="odd", text=text, origin="test")
    assert [len(tiny.token_ids(one.text)) == ODD for one in texts].count(True) == (odd is not None)
    return texts


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("shards/*/*") if path.is_file()}


@pytest.mark.usefixtures("misbehaving")
def test_every_executor_makes_the_same_shards_to_the_last_bit(executor: Any, tiny: LoadedModel, tmp_path: Path) -> None:
    texts = some_texts(tiny)
    serial = measure_corpus(tiny.spec, texts, tmp_path / "serial", columns=COLUMNS, shard_tokens=100)
    other = measure_corpus(tiny.spec, texts, tmp_path / "other", columns=COLUMNS, shard_tokens=100, executor=executor)
    assert len(serial.manifest.shards) >= 4
    assert other.manifest.shards == serial.manifest.shards
    assert files(other.folder) == files(serial.folder)


@pytest.mark.usefixtures("misbehaving")
def test_a_poisoned_text_is_named_and_all_other_shards_are_kept(
    executor: Any, tiny: LoadedModel, tmp_path: Path
) -> None:
    texts = some_texts(tiny, odd=5)
    how: dict[str, Any] = {"columns": ["poisoned"], "shard_tokens": 100, "executor": executor}
    message = r"1 of (\d) shards of tiny could not be measured; (\d) whole shards .*:\n  shard \d, text 'odd': ArithmeticError: seven"
    with pytest.raises(CorpusFailed, match=message):
        measure_corpus(tiny.spec, texts, tmp_path, **how)
    with pytest.raises(InvalidCorpus, match=r"is not complete \(\d shards are there, 1 failed\)"):
        open_corpus(tmp_path)
    part = open_corpus(tmp_path, partial=True)
    (failure,) = part.manifest.failures
    assert failure.text == "odd"
    assert len(part.manifest.shards) == len(files(tmp_path)) >= 3
    assert "odd" not in [one.name for one in part.texts()]


@pytest.mark.usefixtures("nobody_died")
@pytest.mark.parametrize("kind", ["pool that is replaced", "pool that is not", "dask"])
def test_a_killed_workers_shard_is_measured_again(
    kind: str, request: pytest.FixtureRequest, misbehaving: Path, tiny: LoadedModel, tmp_path: Path
) -> None:
    executor: Any = {"pool that is replaced": processes(1), "pool that is not": None}.get(kind)
    if kind == "pool that is not":
        executor = processes(1)()
    elif kind == "dask":
        executor = request.getfixturevalue("dask")
    texts = some_texts(tiny, odd=5)
    how: dict[str, Any] = {"columns": ["deadly_once"], "shard_tokens": 100}
    corpus = measure_corpus(tiny.spec, texts, tmp_path / "died", executor=executor, **how)
    assert (misbehaving / "died").exists()
    assert corpus.manifest.is_complete
    assert files(corpus.folder) == files(measure_corpus(tiny.spec, texts, tmp_path / "serial", **how).folder)


@pytest.mark.usefixtures("misbehaving")
def test_a_text_that_kills_every_worker_fails_alone(tiny: LoadedModel, tmp_path: Path) -> None:
    texts = some_texts(tiny, odd=5)
    message = (
        r"1 of \d shards of tiny could not be measured; \d whole .*shard \d, texts .*: its worker died 2 times while it"
    )
    with pytest.raises(CorpusFailed, match=f"(?s){message}"):
        measure_corpus(tiny.spec, texts, tmp_path, columns=["deadly"], shard_tokens=100, executor=processes(1))
    part = open_corpus(tmp_path, partial=True)
    (failure,) = part.manifest.failures
    names = [one.name for one in texts]
    lost = names[names.index(failure.first) : names.index(failure.last) + 1]
    assert "odd" in lost
    assert [one.name for one in part.texts()] == [name for name in names if name not in lost]


def test_a_text_that_kills_every_worker_of_dask_fails_alone(dask: Executor, tiny: LoadedModel, tmp_path: Path) -> None:
    texts = some_texts(tiny, odd=5)
    with pytest.raises(CorpusFailed, match=r"(?s)1 of \d shards of tiny could not be measured.*KilledWorker"):
        measure_corpus(tiny.spec, texts, tmp_path, columns=["deadly"], shard_tokens=100, executor=dask)


@pytest.mark.usefixtures("misbehaving")
def test_a_worker_without_the_weights_says_so(
    executor: Any, tiny: LoadedModel, new_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = new_checkpoint("gone", seed=3)

    def texts() -> Iterator[Passage]:
        (folder / "model.safetensors").unlink()  # the caller has seen them by now
        yield from some_texts(tiny)

    message = r"a worker can't measure gone, process \d+ on \S+: ModelNotFound: gone has no model.safetensors in .*; 0 whole shards"
    with pytest.raises(CorpusFailed, match=message):
        measure_corpus(from_directory(folder), texts(), tmp_path / "out", shard_tokens=100, executor=executor)


@pytest.mark.usefixtures("misbehaving")
def test_a_worker_with_other_weights_measures_nothing(
    executor: Any, tiny: LoadedModel, new_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = new_checkpoint("changed", seed=4)

    def texts() -> Iterator[Passage]:
        other = new_checkpoint("others", seed=5)
        (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
        yield from some_texts(tiny)

    with pytest.raises(
        CorpusFailed, match=r"the weights of changed must be the caller's, \w{12}, but here they are \w{12}"
    ):
        measure_corpus(from_directory(folder), texts(), tmp_path / "out", shard_tokens=100, executor=executor)
    assert files(tmp_path / "out") == {}


def test_a_worker_of_another_version_measures_nothing(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "code_fingerprint", lambda *roots: "another")
    with pytest.raises(
        CorpusFailed, match="pathlen and what it computes with must be the caller's versions, but here are"
    ):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path)


def test_a_process_loads_the_model_once(pool: Executor, tiny: LoadedModel, tmp_path: Path) -> None:
    import misbehaving_columns  # type: ignore[import-not-found]  # written above

    found = []
    for name in ("a", "b"):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path / name, columns=COLUMNS, shard_tokens=100, executor=pool)
        found.append(pool.submit(misbehaving_columns.held).result())
    assert found[0] == found[1]
    assert found[0][0] != os.getpid()
    assert len(found[0][1]) == 1


def test_this_process_loads_the_model_once_and_lets_it_go(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def counting(*given: Any, **how: Any) -> LoadedModel:
        loaded.append(given)
        return load(*given, **how)

    monkeypatch.setattr("pathlen.corpora.worker.load", counting)
    corpus = measure_corpus(tiny.spec, some_texts(tiny), tmp_path, shard_tokens=100)
    assert len(corpus.manifest.shards) > 2
    assert len(loaded) == 1
    assert not workers._held


def test_a_worker_measures_on_as_many_threads_as_it_is_told(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    seen = []

    def looking(*given: Any) -> bytes:
        seen.append(torch.get_num_threads())
        return packed(*given)

    monkeypatch.setattr("pathlen.corpora.worker.packed", looking)
    measure_corpus(tiny.spec, some_texts(tiny), tmp_path / "a")
    corpus = measure_corpus(tiny.spec, some_texts(tiny), tmp_path / "b", threads=2)
    assert seen == [1, 2]
    assert torch.get_num_threads() == 1
    assert corpus.manifest.threads == 2


class Fake(Executor):
    """An executor that answers as it is told."""

    def __init__(self, answer: Callable[[Job], Any]) -> None:
        self.answer = answer

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(self.answer(given[0]))
        except Exception as error:  # noqa: BLE001  # as an executor does
            future.set_exception(error)
        return future


def test_what_changes_on_the_way_is_not_kept(tiny: LoadedModel, tmp_path: Path) -> None:
    def changed(job: Job) -> Made:
        made = workers.measured(job)
        assert isinstance(made, Made)
        return replace(made, content=made.content[:-1] + b"x")

    with pytest.raises(CorpusFailed, match="it was changed on the way from its worker"):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path, executor=Fake(changed))
    assert files(tmp_path) == {}


def test_what_an_executor_raises_belongs_to_its_shard(tiny: LoadedModel, tmp_path: Path) -> None:
    def lost(job: Job) -> Any:
        if job.number == 1:
            raise ConnectionError("the machine is gone")
        return workers.measured(job)

    with pytest.raises(CorpusFailed, match=r"shard 1, texts '\S+' to '\S+': ConnectionError: the machine is gone"):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path, shard_tokens=100, executor=Fake(lost))
    assert len(files(tmp_path)) == len(open_corpus(tmp_path, partial=True).manifest.shards) > 2


def test_what_an_executor_loses_now_and_then_is_measured_all_the_same(tiny: LoadedModel, tmp_path: Path) -> None:
    tried: list[int] = []

    def losing(job: Job) -> Any:
        tried.append(job.number)
        if job.attempt == 0:  # as Dask, which answers a task that failed with what it answered before
            raise ConnectionError("the machine is gone")
        return workers.measured(job)

    texts = some_texts(tiny)
    corpus = measure_corpus(tiny.spec, texts, tmp_path / "a", shard_tokens=40, executor=Fake(losing), ahead=2)
    assert files(corpus.folder) == files(measure_corpus(tiny.spec, texts, tmp_path / "b", shard_tokens=40).folder)
    # No more of them wait for their second turn than may be out.
    assert tried[:4] == [0, 1, 0, 1]


def test_texts_that_fail_together_only_are_said_to(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def together(*given: Any, **how: Any) -> Any:
        raise MemoryError("too many")

    monkeypatch.setattr(Tracer, "traces", together)
    monkeypatch.setattr(Tracer, "trace", lambda *given, **how: None)
    with pytest.raises(CorpusFailed, match=r"MemoryError: too many \(each of its texts alone can be measured\)"):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path)


def test_a_pool_that_can_not_take_a_shard_is_replaced_too(tiny: LoadedModel, tmp_path: Path) -> None:
    class Refusing(Fake):
        def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
            raise BrokenExecutor("no more")

    made = [Refusing(workers.measured), Fake(workers.measured)]
    corpus = measure_corpus(tiny.spec, some_texts(tiny), tmp_path, shard_tokens=100, executor=lambda: made.pop(0))
    assert corpus.manifest.is_complete
    assert made == []


def test_no_more_shards_are_out_than_asked_for(tiny: LoadedModel, tmp_path: Path) -> None:
    out, most = 0, 0

    class Counting(ThreadPoolExecutor):
        def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
            nonlocal out, most
            out += 1
            most = max(most, out)
            return super().submit(function, *given, **named)

    real = CorpusWriter._write

    def written(run: Any, job: Job, made: Made) -> None:
        nonlocal out
        out -= 1
        real(run, job, made)

    with pytest.MonkeyPatch.context() as patch, Counting(2) as threads:
        patch.setattr(CorpusWriter, "_write", written)
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path, shard_tokens=40, executor=threads, ahead=3)
    assert most == 3


KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
from pathlen.corpora.measure import measure_corpus, processes
from pathlen.models.checkpoint import from_directory
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import NAMES, shipped

def texts():
    for turn in range(1000):
        for name in NAMES:
            yield Passage(name=f"{name} {turn}", text=shipped(name).text[:200] + f" {turn}", origin="test")

if __name__ == "__main__":
    measure_corpus(from_directory(Path(sys.argv[1])), texts(), sys.argv[2], shard_tokens=200, executor=processes(1))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are read from Linux's /proc")
def test_a_killed_run_leaves_whole_shards_and_no_process(checkpoint: Path, tiny: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(KILLED, encoding="utf-8")
    folder = tmp_path / "out"
    run = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(checkpoint), str(folder)])
    try:
        waited = time.monotonic()
        while len(files(folder)) < 3:
            assert run.poll() is None
            assert time.monotonic() - waited < 120
            time.sleep(0.02)
        workers_of_it = _descendants(run.pid)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert workers_of_it
    for _ in range(200):
        if not any(Path(f"/proc/{one}").exists() for one in workers_of_it):
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"processes {workers_of_it} outlived their caller")
    done = len(files(folder))
    whole: dict[str, Any] = {"__name__": "texts"}
    exec(compile(KILLED, "KILLED", "exec"), whole)  # noqa: S102  # the texts above
    texts = [one for one, _ in zip(whole["texts"](), range(5 * done + 40), strict=False)]
    again = measure_corpus(tiny.spec, texts, folder, shard_tokens=200)
    at_once = measure_corpus(tiny.spec, texts, tmp_path / "at once", shard_tokens=200)
    assert again.manifest.shards == at_once.manifest.shards
    assert files(folder) == files(at_once.folder)
    assert len(again.manifest.shards) > done


def _descendants(process: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found |= {child} | _descendants(child)
    return found


def test_a_pool_of_processes_has_as_many_as_it_is_told() -> None:
    with processes(3)() as made:
        assert isinstance(made, ProcessPoolExecutor)
        workers_of_it: int = made._max_workers  # type: ignore[attr-defined]  # what `measure_corpus` reads, too
        assert workers_of_it == 3
