"""Instructions: which one an episode hears, and as which features (CLAR, section IV-D).

Each task of a suite has several paraphrases; the last `held_out` of them are never trained on. A demonstration keeps
one instruction throughout; an episode's is drawn from its seed, so that every method hears the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from benchmark.settings import seeds
from benchmark.settings.bounds import Range, check_bounds
from benchmark.system.errors import ConfigError

SEEN, HELD_OUT, SHUFFLED = "seen", "held-out", "shuffled"
PREFIX = "instructions="
"""How a retest under other instructions is named beside those under other cameras."""

TEXTS = ("clip", "hash")


@dataclass(frozen=True)
class Language:
    """See `benchmark/conf/suite/metaworld-multitask.yaml`. text: which encoder makes features of the instructions."""

    text: str
    held_out: Annotated[int, Range(0, 1_000)]
    instructions: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        check_bounds(self, "suite.language")
        if self.text not in TEXTS:
            raise ConfigError(f"--text {self.text} is none of {', '.join(TEXTS)}")
        said = [" ".join(text.lower().split()) for texts in self.instructions.values() for text in texts]
        twice = sorted({text for text in said if said.count(text) > 1})
        if twice:
            raise ConfigError(f"suite.language.instructions: '{twice[0]}' is said twice; a policy could not tell tasks")
        for task, texts in self.instructions.items():
            if not 0 <= self.held_out < len(texts):
                raise ConfigError(
                    f"suite.language.held_out={self.held_out} leaves nothing to train on of {task}'s {len(texts)} "
                    "instructions"
                )

    def seen(self, task: str) -> tuple[str, ...]:
        texts = self.instructions[task]
        return texts[: len(texts) - self.held_out]

    def of_demonstration(self, task: str, number: int) -> str:
        """Demonstrations take the seen paraphrases in turn, so that each is heard equally often."""
        texts = self.seen(task)
        return texts[number % len(texts)]

    def of_episode(self, task: str, seed: int, kind: str = SEEN) -> str:
        """kind: `seen`, `held-out`, or `shuffled`: what another task of the suite was trained on."""
        if kind == SHUFFLED:
            others = [other for other in self.instructions if other != task]
            texts = self.seen(others[_draw("other task", seed, len(others))])
        elif kind == HELD_OUT:
            texts = self.instructions[task][len(self.seen(task)) :]
        else:
            texts = self.seen(task)
        return texts[_draw("instruction", seed, len(texts))]

    def identity(self, weights: Sequence[str]) -> dict[str, Any]:
        """What a number depends on. weights: sha256 of the encoder's files."""
        texts = {task: list(texts) for task, texts in self.instructions.items()}
        return {"text": self.text, "weights": list(weights), "held_out": self.held_out, "instructions": texts}


def kinds(language: Language | None) -> tuple[str, ...]:
    """What a suite with instructions can also be retested under."""
    if language is None:
        return ()
    return ((HELD_OUT,) if language.held_out else ()) + ((SHUFFLED,) if len(language.instructions) > 1 else ())


class InstructionFeatures:
    """Features (dim,) float32 of every instruction of a suite, encoded once."""

    def __init__(self, language: Language, folder: Path) -> None:
        """folder: where CLIP's weights are. Raises `WeightsMissing` or `BadWeights`."""
        self.language = language
        sentences = [text for texts in language.instructions.values() for text in texts]
        self.table = InstructionTable(sentences, encode(language.text, sentences, folder), language.text)
        self.dim = self.table.dim

    def of_demonstrations(self, task: str, lengths: Sequence[int]) -> np.ndarray:
        """(sum of lengths, dim) float32. lengths: frames of each demonstration."""
        said = [self.table.feature(self.language.of_demonstration(task, number)) for number in range(len(lengths))]
        return np.repeat(np.stack(said), lengths, axis=0)

    def of_episode(self, task: str, seed: int, kind: str) -> np.ndarray:
        return self.table.feature(self.language.of_episode(task, seed, kind))


class InstructionTable:
    """Features of the instructions that a policy was trained and tested with, without the encoder that made them.

    sentences, features (n, dim) float32: one for one. text: the encoder's name; hashed text needs no weights, so any
    sentence has features.
    """

    def __init__(self, sentences: Sequence[str], features: np.ndarray, text: str) -> None:
        self.sentences, self.features, self.text = list(sentences), features, text
        self.dim = features.shape[1]
        self._features = dict(zip(self.sentences, features, strict=True))

    def feature(self, sentence: str) -> np.ndarray:
        """(dim,) float32. Raises `ConfigError` for a sentence whose features are not here."""
        if sentence in self._features:
            return self._features[sentence]
        if self.text == "hash":
            found: np.ndarray = encode("hash", [sentence], Path())[0]
            return found
        raise ConfigError(
            f"{sentence!r} has no features here, and {self.text}'s weights are not in a bundle; there are: "
            f"{'; '.join(self.sentences[:6])}{' ...' if len(self.sentences) > 6 else ''}"
        )


def encode(text: str, sentences: Sequence[str], folder: Path) -> np.ndarray:
    """Sentences to (n, dim) float32. Raises `WeightsMissing` or `BadWeights`."""
    if text == "hash":
        from methods.hashed_text import hashed_text

        return hashed_text(sentences)
    from methods.text import ClipText

    return ClipText.load(folder)(sentences).cpu().numpy()


def text_weights(language: Language | None, folder: Path) -> tuple[str, ...]:
    """sha256 of the text encoder's files, () where it has none. Raises `WeightsMissing` naming the way without."""
    if language is None or language.text == "hash":
        return ()
    from methods.errors import WeightsMissing
    from methods.text import CARD
    from methods.weights import choose_weights

    try:
        return tuple(choose_weights(CARD, None, folder).hashes().values())
    except WeightsMissing as error:
        words = str(error).partition(", or run it untrained")[0]
        raise WeightsMissing(
            f"{words},\n  or run with --text hash: hashed words in CLIP's place, marked so in every table"
        ) from error


def _draw(what: str, seed: int, count: int) -> int:
    return seeds.derive(what, str(seed), "train", 0) // len(seeds.PURPOSES) % count  # the last bits are the purpose
