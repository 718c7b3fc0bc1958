"""Weights from the Hub: the real client against a server on this machine, and everything that can go wrong.

No test needs a network or sees the user's cache or token.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hub import Hub, blob, listed, sha256
from project import DOCS
from safetensors.torch import load_file, save_file

from pathlen.cli import main
from pathlen.errors import DownloadFailed, ModelMismatch, ModelNotFound
from pathlen.models.checkpoint import find, from_name
from pathlen.models.families import FAMILIES, ModelSpec, spec
from pathlen.models.hub import describe, fetch, named, plan, require_space
from pathlen.models.loading import LoadedModel, load

REPOSITORY = "somebody/tiny"
WEIGHTS = "model.safetensors"
NEEDED = ["tokenizer.json", "tokenizer_config.json", WEIGHTS, "config.json"]
Usage = namedtuple("Usage", "total used free")  # like the result of shutil.disk_usage


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hf" / "hub"


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """Share the library's connections, which take a while to open, and close them at the end."""
    from huggingface_hub import close_session

    yield
    close_session()


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty Hub, the only one that this process and its children know."""
    from huggingface_hub import constants

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with Hub() as server:
        # The library reads the environment on import: it is set for children, constants for this process.
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HOME", str(cache.parent))
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache.parent / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # It writes in chunks of 10 MB and loses a chunk that is cut; these files are smaller than one.
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 14)
        yield server


@pytest.fixture
def published(hub: Hub, checkpoint: Path) -> ModelSpec:
    """The tiny checkpoint on the Hub, beside files that a model does not need."""
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    assert {"generation_config.json", *NEEDED} <= set(files)
    unneeded = {
        "pytorch_model.bin": b"pickle",
        "README.md": b"read me",
        "onnx/model.safetensors": b"other",
        "tf_model.h5": b"",
    }
    return tiny_spec(hub.add(REPOSITORY, files | unneeded))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which the library would have waited between tries."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def tiny_spec(commit: str) -> ModelSpec:
    return replace(
        spec("gpt2", "small"),
        title="GPT-2 Tiny",
        source=REPOSITORY,
        revision=commit,
        n_layer=2,
        n_head=2,
        d_model=16,
    )


def is_same_network(model: LoadedModel, other: LoadedModel) -> bool:
    ids = torch.arange(20)[None]
    return bool(torch.equal(model.network(ids).logits, other.network(ids).logits))


def assert_not_on_this_machine(wanted: ModelSpec) -> None:
    with pytest.raises(ModelNotFound, match="are not on this machine"):
        find(wanted)


def partial_files(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*.incomplete")]


# What is transferred.


def test_a_downloaded_model_loads(published: ModelSpec, hub: Hub, cache: Path, tiny: LoadedModel) -> None:
    assert_not_on_this_machine(published)
    folder = fetch(published)
    assert folder == cache / "models--somebody--tiny" / "snapshots" / published.revision
    assert sorted(path.name for path in folder.iterdir()) == sorted(NEEDED)
    assert find(published) == folder
    assert is_same_network(load(published), tiny)


def test_only_needed_files_are_transferred_and_the_configuration_last(published: ModelSpec, hub: Hub) -> None:
    fetch(published)
    assert hub.transferred() == NEEDED


def test_a_second_fetch_transfers_nothing(published: ModelSpec, hub: Hub) -> None:
    folder = fetch(published)
    hub.requests.clear()
    assert fetch(published) == folder
    assert hub.transferred() == []
    assert [request.path for request in hub.requests] == [f"/api/models/{REPOSITORY}/revision/{published.revision}"]


def test_a_plan_lists_every_file_and_transfers_none(published: ModelSpec, hub: Hub, cache: Path) -> None:
    files = hub.repositories[REPOSITORY][published.revision]
    before = plan(published)
    assert hub.transferred() == []
    assert not cache.exists()
    assert (before.repository, before.commit, before.branch, before.cache) == (
        REPOSITORY,
        published.revision,
        "",
        cache,
    )
    assert [(file.name, file.size, file.here) for file in before.files] == [
        (name, len(files[name]), False) for name in NEEDED
    ]
    assert before.missing == before.total == sum(len(files[name]) for name in NEEDED)
    fetch(before)
    after = plan(published)
    assert after.missing == 0
    assert after.total == before.total
    assert all(file.here for file in after.files)


def test_a_plan_is_described_with_sizes_folder_total_and_free_space(
    published: ModelSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(9e9, 0, 5_000_000_000))
    planned = plan(published)
    first, *files, folder, total = describe([planned])
    assert first == f"{REPOSITORY} at {published.revision}"
    assert [line.split()[-1] for line in files] == NEEDED
    assert files[2].split()[0] == f"{planned.files[2].size / 1e6:.3f}"
    assert folder == f"  in {planned.folder}"
    megabytes = f"{planned.total / 1e6:.3f} MB"
    assert total == f"{megabytes} to download of {megabytes}; 5,000.000 MB are free in {cache}"
    fetch(planned)
    assert all(line.endswith("  here already") for line in describe([plan(published)])[1:-2])
    assert describe([]) == []


def test_shards_come_before_their_index(hub: Hub, tmp_path: Path, tiny: LoadedModel, checkpoint: Path) -> None:
    commit = hub.add(REPOSITORY, sharded(tmp_path / "sharded", tiny, checkpoint))
    wanted = tiny_spec(commit)
    fetch(wanted)
    *shards, index, config = hub.transferred()[2:]
    assert shards == [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert (index, config) == ("model.safetensors.index.json", "config.json")
    assert is_same_network(load(wanted), tiny)


def sharded(folder: Path, model: LoadedModel, checkpoint: Path) -> Path:
    model.network.save_pretrained(folder, max_shard_size="100KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(checkpoint / name, folder / name)
    return folder


@pytest.mark.parametrize("index", [b"{", b'{"weight_map": {"x": "model-00009-of-00009.safetensors"}}', b"[]"])
def test_an_index_that_is_damaged_or_names_a_missing_file_is_refused(
    hub: Hub, published: ModelSpec, index: bytes
) -> None:
    files = dict(hub.repositories[REPOSITORY][published.revision])
    files["model-00001-of-00001.safetensors"] = files.pop(WEIGHTS)
    wanted = tiny_spec(hub.add(REPOSITORY, files | {"model.safetensors.index.json": index}))
    with pytest.raises(ModelMismatch, match="00009.safetensors, which is not there|is not an index of weights"):
        fetch(wanted)
    assert_not_on_this_machine(wanted)


def original_layout(checkpoint: Path, folder: Path) -> Path:
    """The same checkpoint in the layout of openai-community/gpt2: no prefix, and causal masks beside the weights."""
    shutil.copytree(checkpoint, folder)
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    context = tensors["wpe.weight"].shape[0]
    for block in range(2):
        tensors[f"h.{block}.attn.bias"] = torch.ones(1, 1, context, context).tril()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def test_both_layouts_of_gpt2_load_the_same_network(
    hub: Hub, checkpoint: Path, tmp_path: Path, tiny: LoadedModel
) -> None:
    saved = set(load_file(checkpoint / WEIGHTS))
    assert all(name.startswith("transformer.") for name in saved)
    original = original_layout(checkpoint, tmp_path / "original")
    assert not set(load_file(original / WEIGHTS)) & saved
    for folder in (checkpoint, original):
        wanted = tiny_spec(hub.add(REPOSITORY, folder))
        fetch(wanted)
        assert is_same_network(load(wanted), tiny)


# Names, branches and commits.


def test_a_repository_without_a_revision_is_pinned_to_the_current_commit_of_main(
    hub: Hub, published: ModelSpec
) -> None:
    planned = plan(REPOSITORY)
    assert (planned.commit, planned.branch) == (published.revision, "main")
    assert describe([planned])[0] == f"{REPOSITORY} at {published.revision} (main now)"
    hub.add(REPOSITORY, {"config.json": b"{}"})  # main moves on before the download
    folder = fetch(planned)
    assert folder.name == published.revision
    assert all(f"/{published.revision}/" in request.path for request in hub.requests if request.file)
    assert from_name(REPOSITORY).revision == published.revision


def test_a_revision_can_be_a_branch_or_a_commit(hub: Hub, published: ModelSpec, checkpoint: Path) -> None:
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    commit = hub.add(REPOSITORY, files | {"README.md": b"early"}, branch="step1000")
    assert plan(f"{REPOSITORY}@step1000").branch == "step1000"
    assert fetch(f"{REPOSITORY}@step1000").name == commit
    assert from_name(f"{REPOSITORY}@step1000").revision == commit
    assert plan(f"{REPOSITORY}@{published.revision}").branch == ""
    assert fetch(f"{REPOSITORY}@{published.revision}").name == published.revision
    assert from_name(f"{REPOSITORY}@{published.revision}").revision == published.revision


def test_a_repository_of_the_table_has_its_revision_by_default(hub: Hub, checkpoint: Path) -> None:
    small = spec("gpt2", "small")
    hub.add(small.source, checkpoint, commit=small.revision, branch="old")
    hub.add(small.source, {"README.md": b"new"})
    assert plan(small.source).commit == small.revision
    assert plan(f"{small.source}@old").branch == "old"


def test_a_name_is_a_size_or_a_repository() -> None:
    assert named("xl") == FAMILIES["gpt2"]["xl"]
    assert named("small", "mini") == FAMILIES["mini"]["small"]
    assert named("EleutherAI/pythia-160m@step1000", "mini") == "EleutherAI/pythia-160m@step1000"
    message = "size must be one of small, .*, but 'tiny' was given; a repository of the Hub is written owner/repository"
    with pytest.raises(ModelNotFound, match=message):
        named("tiny")
    with pytest.raises(ModelNotFound, match="family must be one of gpt2, mini, but 'gpt9' was given"):
        named("small", "gpt9")


def test_only_repositories_can_be_fetched(hub: Hub) -> None:
    with pytest.raises(ModelNotFound, match="mini Small lies in '.*' and not on the Hub: there is nothing to fetch"):
        plan(spec("mini", "small"))
    with pytest.raises(ModelNotFound, match="a repository must be written owner/repository, but 'a/b/c' was given"):
        plan("a/b/c")
    assert hub.requests == []


def test_weights_in_the_cache_under_the_short_name_are_not_fetched_again(
    hub: Hub, published: ModelSpec, cache: Path
) -> None:
    folder = fetch(published)
    (cache / "models--somebody--tiny").rename(cache / "models--tiny")
    hub.requests.clear()
    assert fetch(published) == cache / "models--tiny" / "snapshots" / folder.name == find(published)
    assert hub.transferred() == []


# What must not be downloaded.


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt", "tf_model.h5"])
def test_weights_other_than_safetensors_are_refused_before_any_download(
    hub: Hub, published: ModelSpec, cache: Path, pickle: str
) -> None:
    files = dict(hub.repositories[REPOSITORY][published.revision])
    content = files.pop(WEIGHTS)
    for name in ("pytorch_model.bin", "tf_model.h5"):
        del files[name]
    wanted = tiny_spec(hub.add(REPOSITORY, files | {pickle: content}))
    with pytest.raises(ModelMismatch, match=f"must be safetensors, but it holds only {pickle}: a pickle runs code"):
        fetch(wanted)
    assert hub.transferred() == []
    assert not cache.exists()


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ((WEIGHTS, "pytorch_model.bin", "tf_model.h5"), "has no model.safetensors, nor model.safetensors.index.json"),
        (("config.json",), "a checkpoint needs a config.json, but somebody/tiny has none"),
        (("tokenizer.json",), "somebody/tiny has no tokenizer.json, nor vocab.json with merges.txt"),
    ],
)
def test_a_repository_without_a_complete_checkpoint_is_refused(
    hub: Hub, published: ModelSpec, lacking: tuple[str, ...], message: str
) -> None:
    files = hub.repositories[REPOSITORY][published.revision]
    wanted = tiny_spec(hub.add(REPOSITORY, {name: content for name, content in files.items() if name not in lacking}))
    with pytest.raises(ModelNotFound, match=message):
        fetch(wanted)
    assert hub.transferred() == []


# Interrupted connections.


def test_an_interrupted_download_resumes_where_it_stopped(
    hub: Hub, published: ModelSpec, waits: list[float], tiny: LoadedModel
) -> None:
    hub.cut[WEIGHTS] = (100_000, 2)
    fetch(published)
    ranges = [request.ranged for request in hub.requests if request.file == WEIGHTS and request.method == "GET"]
    # The client keeps complete chunks, of 16 KiB here and 10 MB by default, and asks for the rest.
    complete = 100_000 // (1 << 14) * (1 << 14)
    assert ranges == ["", f"bytes={complete}-", f"bytes={2 * complete}-"]
    assert waits == [1, 1]
    assert is_same_network(load(published), tiny)


def test_a_download_that_keeps_failing_leaves_no_partial_file_and_the_next_fetch_starts_there(
    hub: Hub, published: ModelSpec, cache: Path, waits: list[float], tiny: LoadedModel
) -> None:
    hub.cut[WEIGHTS] = (0, 99)
    with pytest.raises(DownloadFailed, match=f"downloading {WEIGHTS} of {REPOSITORY} from http://.* failed: Remote"):
        fetch(published)
    assert_not_on_this_machine(published)
    assert partial_files(cache) == []
    hub.cut.clear()
    hub.requests.clear()
    fetch(published)
    assert hub.transferred() == [WEIGHTS, "config.json"]
    assert is_same_network(load(published), tiny)


def test_a_slow_download_succeeds(hub: Hub, published: ModelSpec, tiny: LoadedModel) -> None:
    hub.slow = 0.02
    fetch(published)
    assert is_same_network(load(published), tiny)


CHILD = "import sys; from pathlen.models.hub import fetch; print(fetch(sys.argv[1], progress=False))"


def child(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def test_two_processes_at_once_share_one_download(
    hub: Hub, published: ModelSpec, cache: Path, tiny: LoadedModel
) -> None:
    hub.slow = 0.1
    processes = [child("-c", CHILD, REPOSITORY) for _ in range(2)]
    outputs = [process.communicate(timeout=50) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    folder = cache / "models--somebody--tiny" / "snapshots" / published.revision
    assert [out.strip() for out, _ in outputs] == [str(folder)] * 2
    assert hub.transferred().count(WEIGHTS) == 1
    assert is_same_network(load(published), tiny)


def test_a_killed_process_leaves_no_checkpoint_that_is_found(hub: Hub, published: ModelSpec, tiny: LoadedModel) -> None:
    hub.slow = 0.2
    process = child("-c", CHILD, REPOSITORY)
    deadline = time.monotonic() + 40
    while WEIGHTS not in hub.transferred() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert_not_on_this_machine(published)
    hub.slow = 0.0
    fetch(published)
    assert is_same_network(load(published), tiny)


# Content that differs from the list.


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json"])
def test_a_file_with_a_wrong_digest_is_downloaded_once_more_and_then_deleted(
    hub: Hub, published: ModelSpec, cache: Path, name: str
) -> None:
    real = hub.repositories[REPOSITORY][published.revision][name]
    hub.swapped[name] = real[:-1] + bytes([real[-1] ^ 1])
    kind = "SHA-256" if name == WEIGHTS else "git blob"
    with pytest.raises(
        DownloadFailed, match=f"{name} of {REPOSITORY} must have the {kind} digest .*, and then deleted"
    ):
        fetch(published)
    assert hub.transferred().count(name) == 2
    assert_not_on_this_machine(published)
    digest = sha256(real) if name == WEIGHTS else blob(real)
    assert not any(path.name in (name, digest) for path in cache.rglob("*"))
    hub.swapped.clear()
    fetch(published)
    assert load(published)


@pytest.mark.parametrize("length", [-1, 1])
def test_a_wrong_size_is_an_error(hub: Hub, published: ModelSpec, cache: Path, waits: list[float], length: int) -> None:
    real = hub.repositories[REPOSITORY][published.revision][WEIGHTS]
    hub.swapped[WEIGHTS] = real[:length] if length < 0 else real + b"0"
    with pytest.raises(DownloadFailed, match=f"file should be of size {len(real)} but has size {len(real) + length}"):
        fetch(published)
    assert_not_on_this_machine(published)
    assert partial_files(cache) == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(hub: Hub, published: ModelSpec, tiny: LoadedModel) -> None:
    path = fetch(published) / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.resolve().write_bytes(content)
    assert plan(published).missing == 0  # a plan compares sizes only
    hub.requests.clear()
    fetch(published)
    assert hub.transferred() == [WEIGHTS]
    assert is_same_network(load(published), tiny)


def test_a_truncated_file_in_the_cache_is_downloaded_again(hub: Hub, published: ModelSpec, tiny: LoadedModel) -> None:
    path = fetch(published) / WEIGHTS
    path.resolve().write_bytes(path.read_bytes()[:1000])
    assert [file.name for file in plan(published).files if not file.here] == [WEIGHTS]
    fetch(published)
    assert is_same_network(load(published), tiny)


@pytest.mark.parametrize("lacking", ["size", "blobId"])
def test_a_file_that_is_listed_without_size_or_digest_is_refused(
    hub: Hub, published: ModelSpec, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    def incomplete(name: str, content: bytes) -> dict[str, Any]:
        return {**listed(name, content), "lfs": None, lacking: None}

    monkeypatch.setattr("hub.listed", incomplete)
    with pytest.raises(DownloadFailed, match="must list the size and the digest of tokenizer.json of somebody/tiny"):
        plan(published)


# Error answers.


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (401, ModelNotFound, "shows no somebody/tiny (401): check the name; if it is private, set HF_TOKEN"),
        (403, ModelNotFound, "somebody/tiny is not open to everybody (403): ask for access on http://"),
        (404, ModelNotFound, "shows no somebody/tiny (404): check the name"),
        (429, DownloadFailed, "failed: too many requests (429); try again in 7 s, or set HF_TOKEN"),
        (500, DownloadFailed, "failed: the server answers 500; try again later"),
        (503, DownloadFailed, "failed: the server answers 503; try again later"),
    ],
)
@pytest.mark.parametrize("where", ["api", WEIGHTS])
def test_an_error_answer_says_what_to_do(
    hub: Hub,
    published: ModelSpec,
    waits: list[float],
    where: str,
    status: int,
    kind: type[Exception],
    message: str,
) -> None:
    hub.fail[where] = status
    hub.retry_after = "7"
    with pytest.raises(kind) as caught:
        fetch(published)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert_not_on_this_machine(published)
    assert WEIGHTS not in hub.transferred()
    # The list of files is requested once; a file is requested again after the wait that the Hub asks for.
    assert set(waits) <= ({8.0} if status == 429 else {1, 2, 4, 8})
    assert bool(waits) == (where != "api" and status >= 429)


def test_an_unknown_repository_or_revision_is_refused(hub: Hub, published: ModelSpec) -> None:
    with pytest.raises(ModelNotFound, match=r"shows no somebody/else \(404\)"):
        plan("somebody/else")
    with pytest.raises(ModelNotFound, match=r"somebody/tiny has no revision 'nowhere' on http://127.0.0.1:\d+ \(404\)"):
        plan(f"{REPOSITORY}@nowhere")


def test_a_token_opens_a_private_repository_and_is_sent_to_the_hub_only(
    hub: Hub, published: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"  # noqa: S105
    with pytest.raises(ModelNotFound, match="401"):
        fetch(published)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ModelNotFound, match="if HF_TOKEN is set, it may be wrong or out of date"):
        fetch(published)
    hub.requests.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(published)
    assert {request.token for request in hub.requests if not request.cdn} == {"Bearer hf_secret"}
    assert {request.token for request in hub.requests if request.cdn} == {""}


def test_a_gated_repository_says_to_ask_for_access(
    hub: Hub, published: ModelSpec, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token, hub.gated = "hf_secret", True
    assert plan(REPOSITORY).total  # the list of files is public
    capsys.readouterr()
    assert main(["fetch", REPOSITORY]) == 1
    assert capsys.readouterr().err == (
        f"pathlen fetch: {REPOSITORY} is not open to everybody (401): ask for access on {hub.address}/{REPOSITORY}, then set "
        "HF_TOKEN to a token of yours\n"
    )
    assert_not_on_this_machine(published)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert main(["fetch", REPOSITORY]) == 0


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("openai-comunity/gpt2-medium", "openai-community/gpt2-medium"),
        ("somebody/tinny", REPOSITORY),  # known because it was fetched before
    ],
)
def test_a_misspelt_name_gets_a_suggestion(
    hub: Hub, published: ModelSpec, capsys: pytest.CaptureFixture[str], asked: str, meant: str
) -> None:
    fetch(REPOSITORY)
    assert main(["fetch", asked]) == 1
    assert capsys.readouterr().err == (
        f"pathlen fetch: {hub.address} shows no {asked} (404): check the name; did you mean {meant!r}?; if it is private, set "
        "HF_TOKEN to a token that may read it; if HF_TOKEN is set, it may be wrong or out of date\n"
    )
    with pytest.raises(
        ModelNotFound, match=f"is neither a directory nor a model on this machine; did you mean '{meant}'?"
    ):
        from_name(asked)
    with pytest.raises(
        ModelNotFound, match="a repository of the Hub is written owner/repository; did you mean 'openai-comm"
    ):
        named("gpt2-xxl")


@pytest.mark.parametrize("lost", [WEIGHTS, "config.json", "tokenizer.json"])
def test_a_broken_link_in_the_cache_is_named_and_repaired(
    hub: Hub, published: ModelSpec, tiny: LoadedModel, lost: str
) -> None:
    path = fetch(published) / lost
    path.resolve().unlink()
    assert path.is_symlink()
    with pytest.raises(
        ModelNotFound, match=f"{lost} of GPT-2 Tiny is a broken link: .* points to ../../blobs/.*, which is gone"
    ):
        find(published)
    assert [file.name for file in plan(published).files if not file.here] == [lost]
    hub.requests.clear()
    fetch(published)
    assert hub.transferred() == [lost]
    assert is_same_network(load(published), tiny)


def test_an_unreachable_server_is_an_error(hub: Hub, published: ModelSpec) -> None:
    with pytest.raises(DownloadFailed, match="asking about somebody/tiny from http://127.0.0.1:9 failed: ConnectError"):
        fetch(published, endpoint="http://127.0.0.1:9")


def test_an_endpoint_and_a_cache_can_be_given(hub: Hub, published: ModelSpec, checkpoint: Path, tmp_path: Path) -> None:
    with Hub() as other:
        commit = other.add("somebody/else", checkpoint)
        folder = fetch("somebody/else", endpoint=f"{other.address}/", cache=tmp_path / "other")
    assert folder == tmp_path / "other" / "models--somebody--else" / "snapshots" / commit
    assert sorted(path.name for path in folder.iterdir()) == sorted(NEEDED)
    assert hub.requests == []


# The disk.


def test_a_full_disk_is_noticed_before_the_download(
    hub: Hub, published: ModelSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(published)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, planned.missing - 1))
    needed, free = (f"{size / 1e6:.3f} MB" for size in (planned.missing, planned.missing - 1))
    with pytest.raises(DownloadFailed, match=f"needs {needed}, but {free} are free in {cache}; make room"):
        fetch(planned)
    assert hub.transferred() == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, planned.missing))
    require_space([planned])
    with pytest.raises(DownloadFailed, match="the download needs"):
        require_space([planned, planned])
    fetch(planned)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 0))
    fetch(published)  # needs no more space


def test_a_disk_that_fills_up_during_the_download_leaves_no_partial_file(
    hub: Hub, published: ModelSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import file_download

    def full(url: str, temp_file: object, **rest: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(DownloadFailed, match="downloading tokenizer.json of .* failed: OSError: .*No space left"):
        fetch(published)
    assert partial_files(cache) == []
    assert_not_on_this_machine(published)


# Without a network.


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def switch() -> None:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    return switch


def test_offline_a_model_in_the_cache_is_found(
    hub: Hub, published: ModelSpec, offline: Callable[[], None], tiny: LoadedModel
) -> None:
    folder = fetch(REPOSITORY)
    hub.requests.clear()
    offline()
    planned = plan(REPOSITORY)
    assert (planned.folder, planned.branch, planned.missing) == (folder, "main", 0)
    assert (
        "as it is on this machine: asking about somebody/tiny is not possible while HF_HUB_OFFLINE"
        in describe([planned])[-2]
    )
    assert fetch(REPOSITORY) == fetch(published) == folder
    assert hub.requests == []
    assert is_same_network(load(published), tiny)


def test_offline_a_model_that_is_not_in_the_cache_is_an_error(
    hub: Hub, published: ModelSpec, offline: Callable[[], None]
) -> None:
    offline()
    for wanted in (REPOSITORY, published):
        with pytest.raises(DownloadFailed, match="is not possible while HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set"):
            fetch(wanted)
    assert hub.requests == []


def test_offline_the_short_name_is_used_for_a_commit_but_not_for_a_branch(
    hub: Hub, published: ModelSpec, cache: Path, offline: Callable[[], None]
) -> None:
    fetch(REPOSITORY)
    (cache / "models--somebody--tiny").rename(cache / "models--tiny")
    offline()
    assert fetch(published).parent.parent == cache / "models--tiny"
    with pytest.raises(DownloadFailed, match="HF_HUB_OFFLINE"):
        fetch(REPOSITORY)


@pytest.mark.parametrize("lost", [*NEEDED[::2], "config.json", "a shard"])
def test_offline_an_incomplete_model_is_an_error(
    hub: Hub,
    published: ModelSpec,
    offline: Callable[[], None],
    tmp_path: Path,
    tiny: LoadedModel,
    checkpoint: Path,
    lost: str,
) -> None:
    wanted = published
    if lost == "a shard":
        lost = "model-00001-of-"
        wanted = tiny_spec(hub.add(REPOSITORY, sharded(tmp_path / "sharded", tiny, checkpoint)))
    folder = fetch(wanted)
    offline()
    assert fetch(wanted) == folder
    next(path for path in folder.iterdir() if path.name.startswith(lost)).unlink()
    with pytest.raises(DownloadFailed, match="HF_HUB_OFFLINE"):
        fetch(wanted)


def test_a_model_in_the_cache_is_found_while_the_hub_is_down(hub: Hub, published: ModelSpec) -> None:
    folder = fetch(published)
    hub.fail["api"] = 500
    assert fetch(published) == folder
    assert plan(published).fallback_reason.endswith("failed: the server answers 500; try again later")


# Progress bars.


def test_progress_bars_are_shown_by_default(
    hub: Hub, published: ModelSpec, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled

    monkeypatch.setenv("TQDM_POSITION", "-1")  # as if there were a terminal
    fetch(published, progress=False)
    assert capfd.readouterr().err == ""
    assert not are_progress_bars_disabled()
    shutil.rmtree(plan(published).folder.parent.parent)
    fetch(published)
    assert f"{WEIGHTS}: 100%" in capfd.readouterr().err


# The command.


def test_the_command_describes_the_download_and_fetches(
    hub: Hub,
    published: ModelSpec,
    capsys: pytest.CaptureFixture[str],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(9e9, 0, 5_000_000_000))
    assert main(["fetch", REPOSITORY, REPOSITORY, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.splitlines() == describe([plan(REPOSITORY)])
    assert hub.transferred() == []
    assert not cache.exists()
    assert main(["fetch", f"{REPOSITORY}@{published.revision}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(find(published))


def test_the_command_takes_sizes(hub: Hub, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in ("small", "medium"):
        hub.add(spec("gpt2", size).source, checkpoint, commit=spec("gpt2", size).revision)
    assert main(["fetch", "small", "medium"]) == 0
    folders = capsys.readouterr().out.splitlines()[-2:]
    assert folders == [str(find(spec("gpt2", size))) for size in ("small", "medium")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny"], "size must be one of small, medium, large, xl, but 'tiny' was given; a repository"),
        (["small", "--family", "mini"], "mini Small lies in"),
        (["small", "--family", "gpt9"], "family must be one of gpt2, mini, but 'gpt9' was given"),
        (["nobody/nothing"], "shows no nobody/nothing (404)"),
        (["nobody"], "but 'nobody' was given"),
    ],
)
def test_an_error_of_the_command_is_one_line(
    hub: Hub, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["fetch", *arguments]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("pathlen fetch: ")
    assert message in shown.err


def test_an_interrupted_command_prints_one_line(
    hub: Hub, published: ModelSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*rest: object, **more: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlen.models.hub.fetch", stop)
    assert main(["fetch", REPOSITORY]) == 130
    assert capsys.readouterr().err == "pathlen fetch: stopped\n"


def test_the_command_follows_the_environment_variables_of_the_library(
    hub: Hub, published: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"  # noqa: S105
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    code = "import sys; from pathlen.cli import main; sys.exit(main(sys.argv[1:]))"
    process = child("-c", code, "fetch", REPOSITORY)
    out, err = process.communicate(timeout=50)
    assert (process.returncode, err) == (0, "")
    folder = tmp_path / "elsewhere" / "models--somebody--tiny" / "snapshots" / published.revision
    assert out.splitlines()[-1] == str(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    offline_process = child("-c", code, "fetch", "somebody/other")
    out, err = offline_process.communicate(timeout=50)
    assert (offline_process.returncode, out, hub.requests) == (1, "", [])
    assert err.startswith("pathlen fetch: asking about somebody/other is not possible while HF_HUB_OFFLINE")
    assert err.count("\n") == 1


def test_failed_tries_are_reported_on_request(hub: Hub, published: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, time; from pathlen.cli import main; time.sleep = print; sys.exit(main(['fetch', sys.argv[1]]))"
    hub.cut[WEIGHTS] = (0, 99)
    _, err = child("-c", code, REPOSITORY).communicate(timeout=50)
    assert err.startswith(f"pathlen fetch: downloading {WEIGHTS} of {REPOSITORY} from {hub.address} failed: ")
    assert err.count("\n") == 1
    monkeypatch.setenv("HF_HUB_VERBOSITY", "warning")
    _, err = child("-c", code, REPOSITORY).communicate(timeout=50)
    assert "Trying to resume download" in err


def test_the_code_of_the_documentation_page_runs(
    hub: Hub, published: ModelSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (DOCS / "real-models.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.setitem(FAMILIES["gpt2"], "small", published)
    exec(compile(code, "real-models.md", "exec"), {})  # noqa: S102  # a page of this project
    assert hub.transferred() == NEEDED
    assert re.match(r"-?0\.\d+ \[.*\] \(.* tokens in 14 passages\)", capsys.readouterr().out)


# A run of claims.

CONFTEST = """
from dataclasses import replace

from pathlen.models.families import FAMILIES

small = FAMILIES["gpt2"]["small"]
FAMILIES["gpt2"]["small"] = replace(small, source="{source}", revision="{revision}", n_layer=2, n_head=2, d_model=16)
"""
CLAIMS = '''
from pathlen import SIZES, above, claim, every


@claim(sizes=SIZES, section="1", expect=above(0.5), true_by_construction="it is a sum")
def test_sums(measured):
    """Sums grow."""
    return every(measured.path_grows)
'''


@pytest.fixture
def project(
    hub: Hub, published: ModelSpec, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """Claims whose GPT-2 Small is the tiny checkpoint."""
    monkeypatch.setitem(FAMILIES["gpt2"], "small", FAMILIES["gpt2"]["small"])  # undoes what the project changes
    (pytester.path / "conftest.py").write_text(
        CONFTEST.format(source=REPOSITORY, revision=published.revision), encoding="utf-8"
    )
    (pytester.path / "claims").mkdir()
    (pytester.path / "claims" / "test_sums.py").write_text(CLAIMS, encoding="utf-8")
    (pytester.path / "mine.txt").write_text("The river rose in the night. " * 60, encoding="utf-8")
    return pytester


RUN = ("claims", "--family", "gpt2", "--size", "small", "--text", "mine.txt", "--controls", "none", "--report", "out")
PLAIN = ("--import-mode=importlib", "-p", "no:cacheprovider")


def test_a_run_downloads_nothing_by_default(project: pytest.Pytester, hub: Hub) -> None:
    result = project.runpytest(*RUN, *PLAIN)
    assert result.parseoutcomes()["not"] == 1  # "1 not tested"
    assert hub.requests == []


def test_a_run_downloads_on_request(project: pytest.Pytester, hub: Hub) -> None:
    result = project.runpytest(*RUN, *PLAIN, "--download")
    result.stdout.fnmatch_lines([f"pathlen: {REPOSITORY} at *", "pathlen: * MB to download of *", "*sums *vacuous*"])
    assert hub.transferred() == NEEDED
    hub.requests.clear()
    again = project.runpytest(*RUN, *PLAIN, "--download")
    again.stdout.fnmatch_lines(["pathlen: the weights of every size are on this machine: nothing to download"])
    assert hub.requests == []


def test_collecting_downloads_nothing(project: pytest.Pytester, hub: Hub) -> None:
    project.runpytest(*RUN, *PLAIN, "--download", "--collect-only")
    assert hub.requests == []


def test_a_run_whose_download_fails_measures_nothing(project: pytest.Pytester, hub: Hub) -> None:
    hub.fail["api"] = 500
    result = project.runpytest(*RUN, *PLAIN, "--download")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: asking about somebody/tiny from * failed: the server answers 500; *"])
    result.stdout.no_fnmatch_line("*sums*")


def test_a_run_spread_over_processes_fetches_once(
    project: pytest.Pytester, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = project.runpytest_subprocess(*RUN, *PLAIN, "--download", "-n", "2")
    result.stdout.fnmatch_lines([f"pathlen: {REPOSITORY} at *", "*sums *vacuous*"])
    assert hub.transferred() == NEEDED
    assert len([request for request in hub.requests if request.path.startswith("/api/")]) == 1


def test_the_test_server_lists_the_digest_that_git_computes() -> None:
    # printf 'hello\n' | git hash-object --stdin
    assert blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
