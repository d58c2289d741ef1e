"""`report.html`: a finished run on one page, in one file that needs nothing else."""

import base64
import html
import json
import os
from pathlib import Path

from graph_resnet import config
from graph_resnet.errors import UserError
from graph_resnet.inference import evaluation, restore
from graph_resnet.loop import metrics_log
from graph_resnet.session import precision_as_trained

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222; }}
h1 {{ font-size: 1.5em; }} h2 {{ font-size: 1.15em; margin-top: 2em; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .15em 1em .15em 0; text-align: left; vertical-align: top; }}
td:first-child {{ color: #666; }}
.number {{ font-size: 2em; }} .note {{ color: #666; }}
</style>
<h1>{title}</h1>
<p><span class="number">{accuracy:.2%}</span> of {images:,} {kind} images right at step {step:,}
<span class="note">(cross entropy {loss:.4f}, top-5 {top5:.2%}, expected calibration error {ece:.4f})</span></p>
<h2>Curves</h2>
{curves}
<h2>Confusion matrix</h2>
{confusion}
<h2>Mistakes</h2>
{mistakes}
<h2>Recipe</h2>
{recipe}
<h2>Run</h2>
{run}
</html>
"""


def write(directory, records):
    """Evaluates the newest checkpoint of a train dir, draws its confusion and its mistakes, and writes the page.

    Args:
      directory: the train dir.
      records: `find.Records`, those of the run.

    Returns:
      The path of the page.

    Raises:
      UserError: it cannot be written.
    """
    net = config.read(directory)
    checkpoint = restore.find_checkpoint(directory)
    step = restore.step_of(checkpoint)
    logits, labels = evaluation.run(net, checkpoint, records, precision=precision_as_trained(net.precision))
    result = evaluation.measures(logits, labels, net.class_names)
    title = f"{net.recipe.name} on {records.title}, {step:,} steps"
    pictures = evaluation.save_pictures(
        directory, logits, labels, result["confusion"], records, split="val", class_names=net.class_names, title=title
    )
    values = config.read_json(directory)
    speeds = sorted(
        r["images_per_second"]
        for r in metrics_log.read(Path(directory) / metrics_log.FILE)[0]
        if "images_per_second" in r
    )
    about = {
        "images/s, median": f"{speeds[len(speeds) // 2]:,.0f}" if speeds else "unknown",
        "seed": values["seed"],
        "precision": values["precision"],
        **{f"version of {name}": version for name, version in values["versions"].items()},
        "data": ", ".join(f"{f['name']} ({f['records']:,})" for f in values["data"]["files"]),
        "checkpoint": Path(checkpoint).name,
    }
    page = PAGE.format(
        title=html.escape(title),
        accuracy=result["accuracy"],
        kind="held-out" if records.held_out else "test",
        images=result["images"],
        step=step,
        loss=result["loss"],
        top5=result["top5_accuracy"],
        ece=result["calibration_error"],
        curves=_image(Path(directory) / "curves.png", "loss and accuracy over steps"),
        confusion=_image(pictures["confusion"], "confusion matrix"),
        mistakes=_image(pictures["mistakes"], "the most confident mistakes"),
        recipe=_table({name: value for name, value in values["recipe"].items() if value is not None}),
        run=_table(about),
    )
    path = Path(directory) / "report.html"
    draft = path.with_suffix(".html.new")
    try:
        draft.write_text(page, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); mend that and run the same command") from None
    return path


def _image(path, text):
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


def _table(values):
    def cell(value):
        return html.escape(value if isinstance(value, str) else json.dumps(value))

    rows = "\n".join(f"<tr><td>{html.escape(name)}</td><td>{cell(value)}</td></tr>" for name, value in values.items())
    return f"<table>\n{rows}\n</table>"
