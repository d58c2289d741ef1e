"""The official files of CIFAR-10 and CIFAR-100: names, sizes, classes, URLs.

CIFAR-10 is six files of 3,073-byte records (one label byte, then 32x32 pixels as three planes: red, green, blue);
CIFAR-100 is two files of 3,074-byte records (coarse label, fine label, pixels): see
https://www.cs.toronto.edu/~kriz/cifar.html. The synthetic datasets have the same layouts.
"""

from dataclasses import dataclass

SIDE = 32
PIXEL_BYTES = SIDE * SIDE * 3
NAMES_FILE_BYTES = 65536  # maximum size of a file of class names
PICKLE_BYTES = 200_000_000  # maximum size of a pickle; CIFAR-100's train has 155,249,918
OTHERWISE = "pass --data-dir DIR with the files, or --dataset synthetic"

CIFAR10_NAMES = tuple(str.split("airplane automobile bird cat deer dog frog horse ship truck"))
CIFAR100_COARSE_NAMES = tuple(
    str.split("""
    aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
    household_furniture insects large_carnivores large_man-made_outdoor_things
    large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates
    people reptiles small_mammals trees vehicles_1 vehicles_2
    """)
)
CIFAR100_FINE_NAMES = tuple(
    str.split("""
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
    can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter
    palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
    rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower
    sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
    """)
)


@dataclass(frozen=True)
class Label:
    """A label byte of a record: its kind, the file and official names of its classes, its key in a pickle."""

    kind: str
    names_file: str
    names: tuple[str, ...]
    pickle_key: str


@dataclass(frozen=True)
class RecordFormat:
    """The format of a record file.

    Attributes:
        title: of the dataset, for errors.
        classes: number of classes by kind of label, in the order of a record's label bytes.
        pixel_bytes: of a record, after its labels.
        max_records: of a file.
    """

    title: str
    classes: dict[str, int]
    pixel_bytes: int
    max_records: int

    @property
    def record_bytes(self) -> int:
        return len(self.classes) + self.pixel_bytes


@dataclass(frozen=True)
class Layout:
    """The official files of a dataset, its label bytes in record order, and where it comes from.

    `max_records` is the maximum of a file; `size` (bytes) and `sha256` are of the archive at `url`.
    """

    title: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: tuple[Label, ...]
    max_records: int
    url: str
    size: int
    sha256: str
    pickle_folder: str
    pickle_meta: str

    @property
    def format(self) -> RecordFormat:
        classes = {label.kind: len(label.names) for label in self.labels}
        return RecordFormat(self.title, classes, PIXEL_BYTES, self.max_records)

    @property
    def record_bytes(self) -> int:
        return len(self.labels) + PIXEL_BYTES

    @property
    def files(self) -> tuple[str, ...]:
        return self.train + self.test

    @property
    def pickles(self) -> tuple[str, ...]:
        """The files of the pickled version, in the order of `files`, then the one with the class names."""
        return (*(name.removesuffix(".bin") for name in self.files), self.pickle_meta)

    @property
    def archive(self) -> str:
        return self.url.rpartition("/")[2]


CIFAR10 = Layout(
    title="CIFAR-10",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test=("test_batch.bin",),
    labels=(Label("fine", "batches.meta.txt", CIFAR10_NAMES, "labels"),),
    max_records=10_000,
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    pickle_folder="cifar-10-batches-py",
    pickle_meta="batches.meta",
)
CIFAR100 = Layout(
    title="CIFAR-100",
    folder="cifar-100-binary",
    train=("train.bin",),
    test=("test.bin",),
    labels=(
        Label("coarse", "coarse_label_names.txt", CIFAR100_COARSE_NAMES, "coarse_labels"),
        Label("fine", "fine_label_names.txt", CIFAR100_FINE_NAMES, "fine_labels"),
    ),
    max_records=50_000,
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    size=168_513_733,
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    pickle_folder="cifar-100-python",
    pickle_meta="meta",
)
LAYOUTS = {"cifar10": CIFAR10, "cifar100": CIFAR100, "synthetic": CIFAR10, "synthetic100": CIFAR100}


def is_synthetic(dataset: str) -> bool:
    """Whether a dataset consists of drawn images."""
    return dataset.startswith("synthetic")
