"""The parts of `tf.contrib.learn` other than its estimators: modes, a vocabulary, tokens, files of data."""

import collections
import csv
import os
import pickle
import re
import urllib.request

import numpy as np

_TOKEN = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z]+(?=[A-Z])|[\'\w\-]+", re.UNICODE)
TOKENIZER_RE = _TOKEN


class ModeKeys:
    """The modes of `tf.contrib.learn`."""

    TRAIN, EVAL, INFER = "train", "eval", "infer"


class EstimatorModeKeys:
    """The modes of `tf.estimator`."""

    TRAIN, EVAL, PREDICT = "train", "eval", "infer"


def tokenizer(iterator):
    """The words of each text."""
    for value in iterator:
        yield _TOKEN.findall(value)


Dataset = collections.namedtuple("Dataset", ("data", "target"))


def maybe_download(filename, work_directory, source_url):
    """The path of `filename` in `work_directory`, where it is downloaded from `source_url` unless it is there."""
    os.makedirs(work_directory, exist_ok=True)
    path = os.path.join(work_directory, filename)
    if not os.path.exists(path):
        partial, _ = urllib.request.urlretrieve(source_url, f"{path}.part")
        os.replace(partial, path)
    return path


def load_csv_with_header(filename, target_dtype, features_dtype, target_column=-1):
    """A `Dataset` of arrays [N, D] and [N] from a CSV file whose first line starts with N and D."""
    with open(filename, newline="") as stream:
        rows = [row for row in csv.reader(stream) if row]
    count, width = int(rows[0][0]), int(rows[0][1])
    target = np.asarray([row.pop(target_column) for row in rows[1 : count + 1]], target_dtype)
    return Dataset(np.asarray(rows[1 : count + 1], features_dtype).reshape(count, width), target)


class CategoricalVocabulary:
    """Numbers words in order of appearance; 0 is the unknown word."""

    def __init__(self, unknown_token="<UNK>", support_reverse=True):
        self._unknown, self._mapping = unknown_token, {unknown_token: 0}
        self._reverse = [unknown_token]
        self._counts = collections.Counter()
        self._frozen = False

    def __len__(self):
        return len(self._mapping)

    def freeze(self, freeze=True):
        """From now on, new words are unknown."""
        self._frozen = freeze

    def get(self, category):
        """The number of a word; a new word gets a new one unless the vocabulary is frozen."""
        if category not in self._mapping:
            if self._frozen:
                return 0
            self._mapping[category] = len(self._mapping)
            self._reverse.append(category)
        return self._mapping[category]

    def add(self, category, count=1):
        """Counts a word."""
        if self.get(category) > 0:
            self._counts[category] += count

    def trim(self, min_frequency, max_frequency=-1):
        """Keeps the words that appear more often than `min_frequency`, most frequent first."""
        kept = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [(word, n) for word, n in kept if n > min_frequency and (max_frequency <= 0 or n < max_frequency)]
        self._reverse = [self._unknown, *(word for word, _ in kept)]
        self._mapping = {word: i for i, word in enumerate(self._reverse)}
        self._counts = collections.Counter(dict(kept))

    def reverse(self, class_id):
        """The word of a number."""
        return self._reverse[class_id]


class VocabularyProcessor:
    """Texts -> int64 [max_document_length] of word numbers, padded with 0.

    Args:
        max_document_length: number of words to keep of a text.
        min_frequency: words that appear less often are unknown.
    """

    def __init__(self, max_document_length, min_frequency=0, vocabulary=None, tokenizer_fn=None):
        self.max_document_length, self.min_frequency = max_document_length, min_frequency
        self.vocabulary_ = vocabulary or CategoricalVocabulary()
        self._tokenizer = tokenizer_fn or tokenizer

    def fit(self, raw_documents, unused_y=None):
        """Learns the vocabulary."""
        for tokens in self._tokenizer(raw_documents):
            for token in tokens:
                self.vocabulary_.add(token)
        if self.min_frequency > 0:
            self.vocabulary_.trim(self.min_frequency)
        self.vocabulary_.freeze()
        return self

    def fit_transform(self, raw_documents, unused_y=None):
        """Learns the vocabulary and yields the arrays."""
        self.fit(raw_documents)
        return self.transform(raw_documents)

    def transform(self, raw_documents):
        """Yields an array for each text."""
        for tokens in self._tokenizer(raw_documents):
            ids = np.zeros(self.max_document_length, np.int64)
            for i, token in enumerate(tokens[: self.max_document_length]):
                ids[i] = self.vocabulary_.get(token)
            yield ids

    def reverse(self, documents):
        """Yields the text of each array."""
        for ids in documents:
            yield " ".join(self.vocabulary_.reverse(i) for i in ids)

    def save(self, filename):
        """Writes the processor to a file."""
        with open(filename, "wb") as stream:
            pickle.dump(self, stream)

    @classmethod
    def restore(cls, filename):
        """Reads what `save` wrote."""
        with open(filename, "rb") as stream:
            return pickle.load(stream)
