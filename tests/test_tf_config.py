"""TF_CONFIG as written by cluster managers, shells and people who make typos."""

import json
import os
import re

import pytest

from graph_resnet.distributed import tf_config
from graph_resnet.errors import UserError
from tests.helpers import run

ADDRESSES = ["10.0.0.1:2222", "10.0.0.2:2222"]
WORKERS = {"cluster": {"worker": ADDRESSES}}


def of(cluster, job="worker", index=0):
    """The object in TF_CONFIG."""
    return {"cluster": cluster, "task": {"type": job, "index": index}}


def read(monkeypatch, value):
    """`tf_config.place()` for a JSON value or a text."""
    monkeypatch.setenv("TF_CONFIG", value if isinstance(value, str) else json.dumps(value))
    return tf_config.place()


@pytest.mark.parametrize(
    "value, message",
    [
        ("{", "cannot be read"),
        ("[]", r"the whole is \[\], not an object"),
        ("null", "the whole is null"),
        ("1", "the whole is 1"),
        ("[" * 60_000 + "]" * 60_000, "cannot be read"),
        ('{"cluster": ' * 60_000, "cannot be read"),
        ('{"a": 1' + "0" * 5000 + "}", "cannot be read"),
        (os.fsdecode(b"\xff{}"), "cannot be read"),
        ('{"cluster": {"worker": ["a:1"], "worker": ["b:1"]}}', '"worker" is in it twice'),
        ({"cluster": 1}, "cluster is 1, not an object"),
        ({"cluster": None}, "cluster is null"),
        ({**WORKERS, "task": None}, "task is null"),
        ({**WORKERS, "task": ["worker", 0]}, "task is .*, not an object"),
        ({"cluster": {"worker": ADDRESSES, "ps": ["10.0.0.3:2222"]}}, 'ps: .*"10.0.0.3:2222".* leave ps out'),
        ({"cluster": {"Worker": ADDRESSES}}, 'unknown job "Worker"; there are chief, worker, evaluator, in lower case'),
        ({"cluster": {"chief\u202e\x1b[2J": ADDRESSES}}, r'unknown job "chief\\u202e\\u001b\[2J"'),
        (of({"master": ADDRESSES[:1], "chief": ADDRESSES[1:]}), "both a chief and a master"),
        ({"cluster": {"worker": {"1": ADDRESSES[1]}}}, "leaves tasks out"),
        ({"cluster": {"worker": {"0": ADDRESSES[0], "x": ADDRESSES[1]}}}, "leaves tasks out"),
        ({"cluster": {"worker": "10.0.0.1:2222"}}, "expected a list"),
        ({"cluster": {"worker": None}}, "worker: null: expected a list"),
        ({"cluster": {"worker": ADDRESSES[:1] * 2}}, '"10.0.0.1:2222" is given to two tasks'),
        ({"cluster": {"worker": ["host:1", "HOST:1"]}}, '"host:1" is given to two tasks'),
        ({"cluster": {"chief": ADDRESSES[:1], "worker": ADDRESSES}}, "is given to two tasks"),
        ({"cluster": {"chief": ADDRESSES}}, "2 chiefs"),
        (WORKERS, "task type null, index null is not in the cluster; it has worker 0..1"),
        (of({"worker": ADDRESSES}, index=2), "it has worker 0..1"),
        (of({"worker": ADDRESSES}, index=-1), "index -1 is not"),
        (of({"worker": ADDRESSES}, index=0.5), "index 0.5 is not"),
        (of({"worker": ADDRESSES}, index=True), "index true is not"),
        (of({"worker": ADDRESSES}, index=None), "index null is not"),
        (of({"worker": ADDRESSES}, index="one"), 'index "one" is not'),
        (of({"worker": ADDRESSES}, index="\u0661"), "is not in the cluster"),
        (of({"worker": ADDRESSES}, index=[0]), r"index \[0\] is not"),
        (of({"worker": ADDRESSES}, job="Worker"), 'task type "Worker"'),
        (of({"worker": ADDRESSES}, job=["worker"]), r'task type \["worker"\]'),
        (of({"worker": ADDRESSES}, job="chief"), 'task type "chief", index 0 is not'),
        (of({}, job="evaluator"), "has no task that trains"),
        (of({"evaluator": ADDRESSES[:1]}, job="evaluator"), "has no task that trains"),
        ({"task": {"type": "evaluator", "index": 0}}, "has no task that trains"),
    ],
)
def test_what_is_refused(monkeypatch, value, message):
    with pytest.raises(UserError, match=f"^TF_CONFIG: .*{message}") as error:
        read(monkeypatch, value)
    assert len(str(error.value)) < 400 and str(error.value).isprintable()


@pytest.mark.parametrize("value", [b"[]", b"[" * 60_000, b"\xff", b'{"cluster": {"\x1b[2J": []}}'])
def test_the_command_refuses_it_in_one_line(value, tmp_path):
    environment = {**os.environb, b"TF_CONFIG": value}
    status, lines, err = run("--train-dir", tmp_path / "run", env=environment)
    assert (status, lines, err.count("\n")) == (1, [], 1)
    assert err.startswith("error: TF_CONFIG: ") and "\x1b" not in err and len(err) < 400
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "10.0.0.1:",
        ":2222",
        "10.0.0.1:0",
        "10.0.0.1:99999",
        "10.0.0.1:65536",
        "10.0.0.1:-1",
        "10.0.0.1:02222",
        "10.0.0.1:\u0662",
        "10.0.0.1:2222 ",
        "10.0.0.1:2222\n",
        "grpc://10.0.0.1:2222",
        "::1:2222",
        "\x1b[31mhost:2222",
        "\udcff:2222",
        2222,
        None,
        ["10.0.0.1", 2222],
    ],
)
def test_a_refused_address(monkeypatch, address):
    with pytest.raises(UserError, match="^TF_CONFIG: address .*: expected host:port") as error:
        read(monkeypatch, of({"worker": [address, "10.0.0.2:2222"]}))
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "jobs, job, index, rank",
    [
        ({"worker": ADDRESSES}, "worker", 1, 1),
        ({"worker": ADDRESSES}, "worker", "1", 1),
        ({"worker": {"1": ADDRESSES[1], "0": ADDRESSES[0]}}, "worker", 1, 1),
        ({"chief": ADDRESSES[:1], "worker": ADDRESSES[1:]}, "worker", 0, 1),
        ({"master": ADDRESSES[:1], "worker": ADDRESSES[1:]}, "worker", 0, 1),
        ({"master": ADDRESSES[:1], "worker": ADDRESSES[1:]}, "master", 0, 0),
        ({"worker": ADDRESSES[1:], "chief": ADDRESSES[:1], "evaluator": ["10.0.0.3:2222"]}, "chief", 0, 0),
        ({"worker": ADDRESSES, "chief": []}, "worker", 0, 0),
    ],
)
def test_who_is_the_chief(monkeypatch, jobs, job, index, rank):
    managers = {"environment": "cloud", "rpc_layer": "grpc", "job": {"region": "x"}}  # extra fields of managers
    place = read(monkeypatch, {**of(jobs, job, index), **managers})
    assert [member.address for member in place.members] == ADDRESSES
    assert (place.rank, place.is_chief, place.is_evaluator) == (rank, rank == 0, False)


@pytest.mark.parametrize("evaluators", [[], ["10.0.0.3:2222"], ["anything"]])
def test_an_evaluator_need_not_be_listed(monkeypatch, evaluators):
    place = read(monkeypatch, of({"worker": ADDRESSES, "evaluator": evaluators}, "evaluator", 5))
    assert place.is_evaluator and not place.is_chief and place.members[0].name == "worker 0"


@pytest.mark.parametrize(
    "address", ["[::1]:2222", "[fe80::1%eth0]:2222", "train_1.ns-a.svc.cluster.local:1", "h:65535"]
)
def test_addresses_of_all_kinds(monkeypatch, address):
    assert read(monkeypatch, of({"worker": [address, "10.0.0.2:2222"]})).members[0].address == address


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "{}",
        {"cluster": {}},
        {"cluster": {}, "task": {"type": "master", "index": 0}},  # a manager's single machine
        {"environment": "cloud", "task": {"type": "worker", "index": 0}},
        of({"worker": ADDRESSES[:1]}),
        of({"master": ADDRESSES[:1]}, "master"),
    ],
)
def test_one_worker_is_not_a_cluster(monkeypatch, value):
    assert read(monkeypatch, value) is None


def test_shares_of_a_batch():
    assert [tf_config.rows(7, 2, rank) for rank in (0, 1)] == [slice(0, 3), slice(3, 7)]
    with pytest.raises(UserError, match="batch size 2: 3 workers share a batch; use fewer"):
        tf_config.rows(2, 3)


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--batch-size 4 --workers 5", "batch size 4: 5 workers share a batch; use fewer, or a larger --batch-size"),
        ("--batch-size 1000 --workers 1000", "--workers 1000: this machine has .* cores; use at most"),
    ],
)
def test_too_many_workers_are_refused_before_any_starts(flags, message, tmp_path):
    status, lines, err = run("--dataset", "synthetic", *flags.split(), "--train-dir", tmp_path / "run")
    assert (status, lines, err.count("\n")) == (1, [], 1)
    assert re.match(f"error: {message}", err)
    assert not (tmp_path / "run").exists()
