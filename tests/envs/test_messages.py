"""What crosses to a worker comes out as it went in; bytes that are no message are refused, whatever they are."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from envs import messages
from envs.action_parts import ActionPart
from envs.channel import Channel
from envs.crop import Crop, NamedCrop
from envs.messages import DTYPES, HEADER, LARGEST_BODY, MAGIC, STEP, STEPPED, TREE, BadFrame, Unsendable, encode
from envs.process import CLOSE, Process
from envs.spec import ActionSpec, FieldSpec, ObservationRequest
from envs.views import VirtualCamera


def crossed(message: Any) -> Any:
    return received(b"".join(bytes(part) for part in encode(message)))


def received(raw: bytes, cut: int | None = None) -> Any:
    """What a channel makes of these bytes and the end of them, in two pieces so that reading has to wait."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)

    first = len(raw) // 2 if cut is None else cut

    def write() -> None:
        with theirs, contextlib.suppress(BrokenPipeError):  # the reader has seen enough
            theirs.sendall(raw[:first])
            theirs.sendall(raw[first:])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return channel.receive(time.monotonic() + 20)
    finally:
        channel.close()
        writer.join()


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (np.ndarray, np.generic)):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return (isinstance(b, float) and struct.pack("d", a) == struct.pack("d", b)) or (
            math.isnan(a) and math.isnan(b)
        )
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


dtypes = st.sampled_from(list(DTYPES.values()))
arrays = st_numpy.arrays(dtypes, st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
scalars = arrays.filter(np.size).map(lambda array: array.flat[0])
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), arrays, scalars)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.none()), inner, max_size=4),
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(trees)
@settings(max_examples=300, deadline=None)
def test_every_tree_comes_out_as_it_went_in(tree: Any) -> None:
    assert same(tree, crossed(tree))


@pytest.mark.slow
@given(
    st.floats(),
    st.booleans(),
    st.lists(st.one_of(st.none(), st.text()), max_size=1),
    st_numpy.arrays(np.float32, st.integers(0, 60)),
)
@settings(max_examples=200, deadline=None)
def test_a_steps_messages_come_out_as_they_went_in(reward: float, success: bool, why: list[Any], action: Any) -> None:
    assert same(("ok", (reward, success, *why)), crossed(("ok", (reward, success, *why))))
    assert same(("step", (action,)), crossed(("step", (action,))))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (("step", (np.zeros(4, np.float32),)), STEP),
        (("ok", (0.5, True)), STEPPED),
        (("ok", (0.5, True, None)), STEPPED),
        (("ok", (0.5, False, "time")), STEPPED),
        (("step", (np.zeros(4),)), TREE),
        (("ok", (1, True)), TREE),
        (("ok", None), TREE),
    ],
)
def test_steps_have_frames_of_their_own(message: Any, kind: int) -> None:
    """Without JSON: a rollout sends two of them for each step."""
    assert messages.sizes(encode(message)[0][: HEADER.size])[0] == kind


def test_arrays_of_any_layout_and_what_simulators_are_asked_with() -> None:
    strided = np.arange(24, dtype=np.int16).reshape(4, 6)[::2, ::-1]
    for array in (strided, np.asfortranarray(np.eye(3)), np.arange(3, dtype=">f8"), np.zeros((0, 3), bool)):
        out = crossed([array])[0]
        np.testing.assert_array_equal(out, array)
        assert out.dtype == array.dtype.newbyteorder("=") and out.flags.writeable
    box = Crop((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), ((1.0, 0.0, 0.0, 0.0),) * 3)
    whole = ObservationRequest(
        ("rgb", "views"),
        ("a", "b"),
        crop=NamedCrop("x", (("a", box),)),
        virtual=(VirtualCamera("overhead", (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)),),
    )
    part = ActionPart("place", 0, 1, "position", "m", "robot")
    kept = [whole, FieldSpec("a", (2, 3), "float32", "m"), ActionSpec(("x",), (-1.0,), (1.0,), "m", (part,)), box]
    assert crossed(kept) == kept


def test_large_arrays_cross_in_pieces() -> None:
    large = {"a": np.random.default_rng(0).integers(0, 255, 9_000_001).astype(np.uint8), "b": np.arange(700_000.0)}
    ours, theirs = (Channel(end) for end in socket.socketpair())
    writer = threading.Thread(target=theirs.send, args=(large,))
    writer.start()
    assert same(large, ours.receive(time.monotonic() + 20))
    writer.join()


@pytest.mark.parametrize(
    "value",
    [
        object(),
        b"bytes",
        {1, 2},
        np.array(["text"]),
        np.array([object()]),
        np.zeros(2, [("a", "f4")]),
        {(1, 2): 3},
        np.datetime64(3, "s"),
        1j,
        np.zeros(2, np.complex64),
        10**5000,
        Exception("x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_message_can_hold_is_refused_before_anything_is_sent(value: Any) -> None:
    with pytest.raises(Unsendable):
        encode(("ok", [np.zeros(3), value]))


def test_what_is_nested_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Unsendable, match="nested"):
        encode(endless)


def frame(tree: Any, body: bytes = b"", size: int | None = None, kind: int = TREE) -> bytes:
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return HEADER.pack(MAGIC, kind, len(text), len(body) if size is None else size) + text + body


HOSTILE = {
    "no frame": (b"Loading the renderer...\n", "begins with b'Load', which is no message"),
    "a pickle": (b"\x80\x04\x95" + bytes(40), "no message"),
    "kind": (frame(None, kind=7), "its header is none"),
    "endless tree": (HEADER.pack(MAGIC, TREE, 2**32 - 1, 0), "its header is none"),
    "endless body": (HEADER.pack(MAGIC, TREE, 4, LARGEST_BODY + 1), "its header is none"),
    "no JSON": (frame(b"{"), "no JSON"),
    "no text": (frame(b"\xff\xfe\x00"), "no JSON"),
    "deep JSON": (frame(b"[" * 100_000 + b"]" * 100_000), "no JSON|nested too deep"),
    "deep tuples": (frame(json.loads('{"tuple":[' * 300 + "]}" * 300)), "nested too deep"),
    "two tags": (frame({"tuple": [], "dict": []}), "its tree is none"),
    "no tag": (frame({}), "its tree is none"),
    "unknown tag": (frame({"pickle": "x"}), "has a 'pickle'"),
    "object array": (frame({"array": ["|O", 1]}, bytes(8)), "its tree is none"),
    "negative": (frame({"array": ["<f4", -1]}), "an array of shape"),
    "fractional": (frame({"array": ["<f4", 1.5]}), "an array of shape"),
    "a flag": (frame({"array": ["<f4", True]}), "an array of shape"),
    "axes": (frame({"array": ["<f4", *[1] * 33]}, bytes(4)), "an array of shape"),
    "larger than sent": (frame({"array": ["<f4", 10]}, bytes(8)), "have 40 bytes, and it has 8"),
    "smaller than sent": (frame({"array": ["<f4", 1]}, bytes(8)), "have 4 bytes, and it has 8"),
    "overflow": (frame({"array": ["<f8", 2**36, 2**36]}, bytes(8)), "bytes, and it has 8"),
    "nothing times much": (frame({"array": ["<f8", 0, *[2**36] * 3]}), "its tree is none"),
    "shaped scalar": (frame({"scalar": ["<f4", 1]}, bytes(4)), "a scalar has no shape"),
    "a class": (frame({"data": ["Popen", ["args", "true"]]}), "its tree is none"),
    "fields": (frame({"data": ["Crop", ["lowest", 1]]}), "its tree is none"),
    "a wrong crop": (frame({"data": ["Crop", ["low", [1]], ["high", [0]]]}), "its tree is none"),
    "keys": (frame({"dict": [[[1], 2]]}), "its tree is none"),
    "two messages": (frame(1) + frame(2), "more was sent than one message"),
    "half an action": (frame(b"", bytes(5), kind=STEP), "is not float32"),
    "a step's tree": (frame(b"{}", kind=STEPPED), "a step's message has no tree"),
    "half a reply": (frame(b"", bytes(3), kind=STEPPED), "cut short"),
    "success of 7": (frame(b"", struct.pack("=dBB", 0, 7, 2), kind=STEPPED), "something else"),
    "text": (frame(b"", struct.pack("=dBB", 0, 1, 4) + b"\xff\xff", kind=STEPPED), "no text"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_bytes_that_are_no_message(case: str) -> None:
    raw, said = HOSTILE[case]
    with pytest.raises(BadFrame, match=said):
        received(raw, len(raw))


ASKED = {
    "a command": ("replay", (3, np.zeros((2, 4), np.float32))),
    "a step": ("step", (np.ones(4, np.float32),)),
    "what it shall be": ("build", {"name": "metaworld"}),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_farewell_behind_a_question_is_what_is_heard(asked: str) -> None:
    """Ctrl-C between a question and its reading: the parent says farewell, and the worker has both at once."""
    question, farewell = (b"".join(map(bytes, encode(one))) for one in (ASKED[asked], (CLOSE, ())))
    for cut in (len(farewell), 5):  # a farewell that comes in two pieces, too
        ours, theirs = socket.socketpair()
        theirs.sendall(question + farewell[:cut])
        if cut < len(farewell):
            threading.Timer(0.05, theirs.sendall, [farewell[cut:]]).start()
        assert Channel(ours, blocking=True, farewell=CLOSE).receive() == (CLOSE, ())
        theirs.sendall(question + question)
        with pytest.raises(BadFrame, match="more was sent than one message"):
            Channel(ours, blocking=True, farewell=CLOSE).receive()
        ours.close()
        theirs.close()


@pytest.mark.slow
def test_a_worker_that_is_told_farewell_at_once_ends_without_a_word(tmp_path: Path) -> None:
    """Stopped before it reads anything, it finds its first question and the farewell behind it."""
    with open(tmp_path / "said", "w+") as said:
        process = Process("toy", None, ("build", {"name": "toy"}), 60, errors=said.fileno())
        os.kill(process.process.pid, signal.SIGSTOP)
        process.farewell()
        os.kill(process.process.pid, signal.SIGCONT)
        assert process.process.wait(60) == 0
        process.close()
        said.seek(0)
        assert said.read() == ""


def test_a_body_that_no_memory_holds() -> None:
    count = LARGEST_BODY // 8
    with pytest.raises((BadFrame, EOFError)):  # where memory is promised that is not there, the end comes first
        received(frame({"array": ["<f8", count]}, size=LARGEST_BODY))


@pytest.mark.slow
@given(st.binary(max_size=200), st.integers(0, 2))
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_an_error_or_a_message(raw: bytes, kind: int) -> None:
    for bytes_ in (raw, HEADER.pack(MAGIC, kind, len(raw), 0) + raw, HEADER.pack(MAGIC, kind, 0, len(raw)) + raw):
        try:
            received(bytes_)
        except (BadFrame, EOFError):
            continue


def test_a_message_that_stops_in_the_middle_and_one_that_is_not_read() -> None:
    whole = b"".join(bytes(part) for part in encode({"a": np.zeros(1000)}))
    for cut in (0, 3, HEADER.size, HEADER.size + 5, len(whole) - 1):
        ours, theirs = socket.socketpair()
        theirs.sendall(whole[:cut])
        start = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^it (does not answer|stopped in the middle)"):
            Channel(ours).receive(time.monotonic() + 0.2)
        assert 0.15 < time.monotonic() - start < 5
        theirs.close()
        with pytest.raises(EOFError):
            Channel(ours).receive(time.monotonic() + 20)
        ours.close()
    ours, theirs = socket.socketpair()
    with pytest.raises(TimeoutError, match="does not read"):
        Channel(ours).send(np.zeros(10**6), time.monotonic() + 0.2)
    theirs.close()
    ours.close()
