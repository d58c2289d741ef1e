"""Time to accuracy of finished runs, from their `config.json` and `metrics.jsonl`.

    python -m benchmarks.accuracy.results docs/results/notebook-20000 docs/results/strong-20000
    python -m benchmarks.accuracy.results --picture curves.png docs/results/*-20000

A milestone is reached at the first evaluation with that accuracy. The minutes count only training steps, at the run's
median seconds per step, without evaluations, checkpoints and pauses.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path

from graph_resnet import cli

MILESTONES = (0.70, 0.80, 0.85, 0.90)
LATE = 0.9  # of the run: evaluations after it are averaged


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: seconds per step, {step: accuracy} of its evaluations, records, and steps in an epoch."""

    name: str
    seconds: float
    evaluations: dict[int, float]
    history: list[dict]
    steps_an_epoch: float | None

    def reached(self, accuracy):
        """The first evaluated step with at least that accuracy, or None."""
        return next((step for step, reached in self.evaluations.items() if reached >= accuracy), None)

    def late(self):
        """Mean accuracy of the evaluations in the last tenth of the run."""
        final = max(self.evaluations)
        return statistics.mean(reached for step, reached in self.evaluations.items() if step >= LATE * final)

    def row(self):
        """The run's cells in the table."""
        steps = [self.reached(accuracy) for accuracy in MILESTONES]
        cells = [f"{step:,} ({step * self.seconds / 60:.0f} min)" if step else "-" for step in steps]
        final = max(self.evaluations)
        return (
            self.name,
            f"{self.seconds:.3f}",
            *cells,
            f"{final:,} ({final * self.seconds / 60:.0f} min)",
            f"{self.evaluations[final]:.2%}",
            f"{self.late():.2%}",
        )


def read(directory):
    """The `Run` of a train dir.

    Raises:
      UserError: it has no evaluation, or is not a train dir.
    """
    from graph_resnet.errors import UserError
    from graph_resnet.inference import runs

    recorded = runs.read(directory)
    evaluations = {record["step"]: record["accuracy"] for record in recorded.history if record["split"] == "val"}
    rates = [record["images_per_second"] for record in recorded.history if "images_per_second" in record]
    if not (evaluations and rates):
        raise UserError(f"{directory}: not a run with an evaluation; pass the train dir of one")
    seconds = recorded.recipe["batch_size"] / statistics.median(rates)
    return Run(Path(directory).name, seconds, evaluations, recorded.history, recorded.steps_an_epoch)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.results",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="DIR", help="train dirs, or the files kept of them")
    parser.add_argument("--picture", metavar="FILE", help="also draw their curves in one picture, over epochs")
    flags = parser.parse_args(cli.arguments())
    cli.import_tensorflow()
    from benchmarks.speed.tables import Table
    from graph_resnet import plots

    runs = [read(directory) for directory in flags.runs]
    header = ("run", "s a step", *(f"to {m:.0%}" for m in MILESTONES), "steps", "final", "mean of the last tenth")
    print(Table("Time to accuracy", header, [run.row() for run in runs]))
    if flags.picture:
        epochs = {run.name: run.steps_an_epoch for run in runs}
        histories = {run.name: run.history for run in runs}
        plots.save(plots.comparison(histories, "", epochs if all(epochs.values()) else None), flags.picture)
    return 0


if __name__ == "__main__":
    cli.run(main)
