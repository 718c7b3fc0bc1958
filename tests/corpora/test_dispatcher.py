"""What holds for every executor: identical shards to the last bit, and a fault of one shard doesn't affect the others.

Workers are real processes, and are killed by a real signal. Misbehaving columns are in a module of their own, since workers
import them by name.
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
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pathlen.columns.catalog import CUSTOM_COLUMNS
from pathlen.corpora.corpus import open_corpus
from pathlen.corpora.measure import measure_corpus, processes
from pathlen.corpora.shard import packed
from pathlen.corpora.worker import Answer, Job, MeasuredShard, held_tracers, measure_shard
from pathlen.corpora.writer import Progress
from pathlen.errors import CorpusFailed, InvalidCorpus
from pathlen.models.checkpoint import from_directory
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import NAMES, shipped
from pathlen.traces.tracer import Tracer

COLUMNS = ("step_length", "next_logit")
ODD = 7  # tokens of the text on which columns misbehave; no other text has this many
MISBEHAVING = f'''"""Columns that misbehave on a text of {ODD} tokens."""

import os
import signal
from pathlib import Path

from pathlen import measures

DIED = Path(__file__).with_name("died")


@measures(at="end", unit="1")
def poisoned(last, final):
    """Can't be computed for one text."""
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
    """Kills its process every time."""
    if len(last) == {ODD}:
        os.kill(os.getpid(), signal.SIGKILL)
    return last.sum(dim=-1)


def held():
    """Return this process, and the identities of the tracers it holds."""
    from pathlen.corpora.worker import held_tracers

    return os.getpid(), [id(tracer) for tracer in held_tracers()]
'''
EXECUTORS = ("serial", "threads", "processes", "dask")


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A module of misbehaving columns that every worker can import; a file beside it records that a worker died."""
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
    """Two workers of Dask, forked from the pool's fork server, which has imported torch already."""
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.scheduler.allowed-failures": 1,  # instead of three, each of which starts a worker
    }
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


@pytest.fixture(scope="module")
def pool(misbehaving: Path) -> Iterator[Executor]:
    with processes(1)() as executor:
        executor.submit(os.getpid).result()
        yield executor


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each executor in turn; pools are started once, since that takes seconds."""
    if request.param == "serial":
        yield None
    elif request.param == "threads":
        with ThreadPoolExecutor(3) as threads:
            yield threads
    else:
        yield request.getfixturevalue("pool" if request.param == "processes" else "dask")


def some_texts(tiny: LoadedModel, *, odd: int | None = None) -> list[Passage]:
    """Return ten texts; the one numbered ``odd`` has `ODD` tokens."""
    texts = [Passage(name=name, text=shipped(name).text[:200], origin="test") for name in NAMES[:10]]
    if odd is not None:
        text = str(tiny.tokenizer.decode(tiny.token_ids(texts[odd].text)[:ODD]))
        texts[odd] = Passage(name="odd", text=text, origin="test")
    assert [len(tiny.token_ids(text.text)) == ODD for text in texts].count(True) == (odd is not None)
    return texts


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("shards/*/*") if path.is_file()}


@pytest.mark.usefixtures("misbehaving")
def test_every_executor_gives_the_same_shards_to_the_last_bit(executor: Any, tiny: LoadedModel, tmp_path: Path) -> None:
    texts = some_texts(tiny)
    serial = measure_corpus(tiny.spec, texts, tmp_path / "serial", columns=COLUMNS, shard_tokens=100)
    other = measure_corpus(tiny.spec, texts, tmp_path / "other", columns=COLUMNS, shard_tokens=100, executor=executor)
    assert len(serial.manifest.shards) >= 4
    assert other.manifest.shards == serial.manifest.shards
    assert files(other.folder) == files(serial.folder)


@pytest.mark.usefixtures("misbehaving")
def test_a_failing_text_is_named_and_all_other_shards_are_kept(
    executor: Any, tiny: LoadedModel, tmp_path: Path
) -> None:
    texts = some_texts(tiny, odd=5)
    options: dict[str, Any] = {"columns": ["poisoned"], "shard_tokens": 100, "executor": executor}
    message = r"1 of (\d) shards of tiny could not be measured; (\d) whole shards .*:\n  shard \d, text 'odd': ArithmeticError: seven"
    with pytest.raises(CorpusFailed, match=message):
        measure_corpus(tiny.spec, texts, tmp_path, **options)
    with pytest.raises(InvalidCorpus, match=r"is not complete \(\d shards are there, 1 failed\)"):
        open_corpus(tmp_path)
    part = open_corpus(tmp_path, partial=True)
    (failure,) = part.manifest.failures
    assert failure.text == "odd"
    assert len(part.manifest.shards) == len(files(tmp_path)) >= 3
    assert "odd" not in [text.name for text in part.texts()]


@pytest.mark.usefixtures("nobody_died")
@pytest.mark.parametrize("kind", ["pool that is replaced", "pool that is not", "dask"])
def test_a_shard_whose_worker_was_killed_is_measured_again(
    kind: str, request: pytest.FixtureRequest, misbehaving: Path, tiny: LoadedModel, tmp_path: Path
) -> None:
    executor: Any = {"pool that is replaced": processes(1), "pool that is not": None}.get(kind)
    if kind == "pool that is not":
        executor = processes(1)()
    elif kind == "dask":
        executor = request.getfixturevalue("dask")
    texts = some_texts(tiny, odd=5)
    options: dict[str, Any] = {"columns": ["deadly_once"], "shard_tokens": 100}
    corpus = measure_corpus(tiny.spec, texts, tmp_path / "died", executor=executor, **options)
    assert (misbehaving / "died").exists()
    assert corpus.manifest.is_complete
    assert files(corpus.folder) == files(measure_corpus(tiny.spec, texts, tmp_path / "serial", **options).folder)


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
    names = [text.name for text in texts]
    lost = names[names.index(failure.first) : names.index(failure.last) + 1]
    assert "odd" in lost
    assert [text.name for text in part.texts()] == [name for name in names if name not in lost]


def test_a_text_that_kills_every_worker_of_dask_fails_alone(dask: Executor, tiny: LoadedModel, tmp_path: Path) -> None:
    texts = some_texts(tiny, odd=5)
    with pytest.raises(CorpusFailed, match=r"(?s)1 of \d shards of tiny could not be measured.*KilledWorker"):
        measure_corpus(tiny.spec, texts, tmp_path, columns=["deadly"], shard_tokens=100, executor=dask)


@pytest.mark.usefixtures("misbehaving")
def test_a_worker_without_weights_ends_the_run(
    executor: Any, tiny: LoadedModel, new_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = new_checkpoint("gone", seed=3)

    def texts() -> Iterator[Passage]:
        (folder / "model.safetensors").unlink()  # after the caller has read them
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
    monkeypatch.setattr("pathlen.corpora.measure.code_fingerprint", lambda *roots: "another")
    with pytest.raises(
        CorpusFailed, match="pathlen and what it computes with must be the caller's versions, but here are"
    ):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path)


def test_a_process_loads_the_model_once(pool: Executor, tiny: LoadedModel, tmp_path: Path) -> None:
    import misbehaving_columns  # type: ignore[import-not-found]  # written above

    held = []
    for name in ("a", "b"):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path / name, columns=COLUMNS, shard_tokens=100, executor=pool)
        held.append(pool.submit(misbehaving_columns.held).result())
    assert held[0] == held[1]
    process, tracers = held[0]
    assert process != os.getpid()
    assert len(tracers) == 1


def test_this_process_loads_the_model_once_and_releases_it(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def counting(*arguments: Any, **options: Any) -> LoadedModel:
        loaded.append(arguments)
        return load(*arguments, **options)

    monkeypatch.setattr("pathlen.corpora.worker.load", counting)
    corpus = measure_corpus(tiny.spec, some_texts(tiny), tmp_path, shard_tokens=100)
    assert len(corpus.manifest.shards) > 2
    assert len(loaded) == 1
    assert held_tracers() == ()


def test_a_worker_uses_the_requested_number_of_threads(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    threads = []

    def watched(*arguments: Any) -> bytes:
        threads.append(torch.get_num_threads())
        return packed(*arguments)

    monkeypatch.setattr("pathlen.corpora.worker.packed", watched)
    measure_corpus(tiny.spec, some_texts(tiny), tmp_path / "a")
    corpus = measure_corpus(tiny.spec, some_texts(tiny), tmp_path / "b", threads=2)
    assert threads == [1, 2]
    assert torch.get_num_threads() == 1
    assert corpus.manifest.threads == 2


class Fake(Executor):
    """An executor that answers with a given function."""

    def __init__(self, answer: Callable[[Job], Answer]) -> None:
        self.answer = answer

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(self.answer(arguments[0]))
        except Exception as error:  # noqa: BLE001  # as an executor does
            future.set_exception(error)
        return future


def test_a_shard_that_is_corrupted_in_transfer_is_discarded(tiny: LoadedModel, tmp_path: Path) -> None:
    def corrupted(job: Job) -> MeasuredShard:
        shard = measure_shard(job)
        assert isinstance(shard, MeasuredShard)
        return replace(shard, content=shard.content[:-1] + b"x")

    with pytest.raises(CorpusFailed, match="it was changed on the way from its worker"):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path, executor=Fake(corrupted))
    assert files(tmp_path) == {}


def test_an_error_of_the_executor_fails_only_its_shard(tiny: LoadedModel, tmp_path: Path) -> None:
    def lost(job: Job) -> Answer:
        if job.number == 1:
            raise ConnectionError("the machine is gone")
        return measure_shard(job)

    with pytest.raises(CorpusFailed, match=r"shard 1, texts '\S+' to '\S+': ConnectionError: the machine is gone"):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path, shard_tokens=100, executor=Fake(lost))
    assert len(files(tmp_path)) == len(open_corpus(tmp_path, partial=True).manifest.shards) > 2


def test_shards_that_an_executor_loses_are_submitted_again(tiny: LoadedModel, tmp_path: Path) -> None:
    submitted: list[int] = []

    def losing(job: Job) -> Answer:
        submitted.append(job.number)
        if job.attempt == 0:  # like Dask, which answers an equal task with the earlier failure
            raise ConnectionError("the machine is gone")
        return measure_shard(job)

    texts = some_texts(tiny)
    corpus = measure_corpus(tiny.spec, texts, tmp_path / "a", shard_tokens=40, executor=Fake(losing), ahead=2)
    assert files(corpus.folder) == files(measure_corpus(tiny.spec, texts, tmp_path / "b", shard_tokens=40).folder)
    # No more shards wait for their second attempt than may be in flight.
    assert submitted[:4] == [0, 1, 0, 1]


def test_texts_that_only_fail_together_are_reported_as_such(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_together(*arguments: Any, **options: Any) -> Any:
        raise MemoryError("too many")

    monkeypatch.setattr(Tracer, "traces", fail_together)
    monkeypatch.setattr(Tracer, "trace", lambda *arguments, **options: None)
    with pytest.raises(CorpusFailed, match=r"MemoryError: too many \(each of its texts alone can be measured\)"):
        measure_corpus(tiny.spec, some_texts(tiny), tmp_path)


def test_a_pool_that_refuses_a_shard_is_replaced(tiny: LoadedModel, tmp_path: Path) -> None:
    class Refusing(Fake):
        def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
            raise BrokenExecutor("no more")

    executors = [Refusing(measure_shard), Fake(measure_shard)]
    corpus = measure_corpus(tiny.spec, some_texts(tiny), tmp_path, shard_tokens=100, executor=lambda: executors.pop(0))
    assert corpus.manifest.is_complete
    assert executors == []


def test_no_more_shards_are_in_flight_than_requested(tiny: LoadedModel, tmp_path: Path) -> None:
    in_flight, most = 0, 0

    class Counting(ThreadPoolExecutor):
        def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
            nonlocal in_flight, most
            in_flight += 1
            most = max(most, in_flight)
            return super().submit(function, *arguments, **options)

    def written(state: Progress) -> None:
        nonlocal in_flight
        in_flight -= 1

    with Counting(2) as threads:
        measure_corpus(
            tiny.spec, some_texts(tiny), tmp_path, shard_tokens=40, executor=threads, ahead=3, progress=written
        )
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
def test_a_killed_run_leaves_only_complete_shards_and_no_process(
    checkpoint: Path, tiny: LoadedModel, tmp_path: Path
) -> None:
    (tmp_path / "run.py").write_text(KILLED, encoding="utf-8")
    folder = tmp_path / "out"
    run = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(checkpoint), str(folder)])
    try:
        start = time.monotonic()
        while len(files(folder)) < 3:
            assert run.poll() is None
            assert time.monotonic() - start < 120
            time.sleep(0.02)
        workers = _descendants(run.pid)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert workers
    for _ in range(200):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"processes {workers} outlived their caller")
    done = len(files(folder))
    script: dict[str, Any] = {"__name__": "texts"}
    exec(compile(KILLED, "KILLED", "exec"), script)  # noqa: S102  # the script above
    texts = list(islice(script["texts"](), 5 * done + 40))
    again = measure_corpus(tiny.spec, texts, folder, shard_tokens=200)
    at_once = measure_corpus(tiny.spec, texts, tmp_path / "at once", shard_tokens=200)
    assert again.manifest.shards == at_once.manifest.shards
    assert files(folder) == files(at_once.folder)
    assert len(again.manifest.shards) > done


def _descendants(process: int) -> set[int]:
    descendants: set[int] = set()
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            descendants |= {child} | _descendants(child)
    return descendants


def test_a_pool_has_the_requested_number_of_processes() -> None:
    with processes(3)() as executor:
        assert isinstance(executor, ProcessPoolExecutor)
        workers: int = executor._max_workers  # type: ignore[attr-defined]  # the dispatcher reads the same
        assert workers == 3
