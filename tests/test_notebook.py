"""The notebook runs from top to bottom, and is stored with its outputs and without machine-specific paths."""

import ast
import copy
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "notebooks" / "resnet.ipynb"
FEW = {"IMAGE_SIZE": 32, "BATCH_SIZE": 50, "STEPS": 2, "EVAL_EVERY": 2, "LOG_EVERY": 1}
PATH = re.compile(r"""(?:^|[\s"'(=`])(?:~?/\w+/|[A-Za-z]:\\)""", re.MULTILINE)


@pytest.fixture
def notebook():
    return nbformat.read(FILE, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def settings_cell(notebook):
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    return cell


def settings(notebook):
    """{name: value} of the assignments in the settings cell."""
    namespace = {}
    exec(settings_cell(notebook).source, namespace)
    del namespace["__builtins__"]
    return namespace


def printed(notebook):
    """Stdout of all cells."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def kinds(notebook):
    """{cell id: kinds of its outputs}, without stderr."""
    return {
        cell.id: {kind for output in cell.outputs for kind in output.get("data", [output.get("name")])} - {"stderr"}
        for cell in code_cells(notebook)
    }


def test_its_outputs_are_from_one_run_in_order(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"stream", "execute_result"}
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    for cell in cells:
        last = ast.unparse(ast.parse(cell.source.replace("%matplotlib", "# %matplotlib")).body[-1])
        assert ("image/jpeg" in kinds(notebook)[cell.id]) == last.startswith("plots."), cell.source
        assert "print(" not in cell.source or "stdout" in kinds(notebook)[cell.id], cell.source


def test_its_outputs_match_its_settings(notebook):
    values = settings(notebook)
    assert (values["DATASET"], values["DATA_DIR"]) == ("synthetic", None)
    side, batch, steps = (values[name] for name in ("IMAGE_SIZE", "BATCH_SIZE", "STEPS"))
    assert f"input: ({batch}, {side}, {side}, 3)\n" in printed(notebook)
    assert "619,402 trainable parameters\n" in printed(notebook)
    val_steps = [int(step) for step in re.findall(r"^\[val\]: step (\d+) ", printed(notebook), re.MULTILINE)]
    assert val_steps == list(range(0, steps + 1, values["EVAL_EVERY"]))


def test_it_contains_no_path_of_a_machine(notebook):
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert PATH.search("see /home/someone/x") and PATH.search("'/tmp/tmp1/model.ckpt-3'")
    for cell in notebook.cells:
        assert not PATH.search(cell.source), cell.source
    assert not PATH.search(printed(notebook))
    assert FILE.stat().st_size < 800_000


@pytest.fixture
def execute(notebook, tmp_path, monkeypatch):
    """Runs the notebook with few, small steps in a directory that contains only a foreign `utils`."""
    assert set(FEW) < set(settings(notebook))
    settings_cell(notebook).source += "".join(f"\n{name} = {value}" for name, value in FEW.items())
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("TMPDIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / "elsewhere" / "utils").mkdir(parents=True)
    (tmp_path / "elsewhere" / "utils" / "__init__.py").touch()

    def execute(**options):
        NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": tmp_path / "elsewhere"}}, **options
        ).execute()

    return execute


@pytest.mark.slow
def test_every_cell_runs(notebook, execute):
    before = kinds(notebook)
    execute()
    assert kinds(notebook) == before
    starts = re.findall(r"^\[(?:train|val)\]: step \d+ (?=loss = )", printed(notebook), re.MULTILINE)
    assert starts == ["[val]: step 0 ", "[train]: step 0 ", "[train]: step 1 ", "[val]: step 2 "]


@pytest.mark.slow
def test_a_cell_run_twice_or_too_early_gives_one_line(notebook, execute):
    cells = {cell.id: cell for cell in notebook.cells}
    order = ("setup", "settings", "net", "load", "grid", "net", "net")
    notebook.cells = [copy.deepcopy(cells[name]) for name in order]
    notebook.cells[4].source = notebook.cells[4].source.replace("session.run(start_input)", "pass")
    execute(allow_errors=True)
    too_early, uninitialized, twice = (notebook.cells[i].outputs for i in (2, 4, 6))
    assert [output.text.count("\n") for output in uninitialized] == [1]
    assert "[input/run_local_variables_initializer_and_tables_initializer_first]" in uninitialized[0].text
    assert [output.name for output in too_early] == ["stderr"]
    assert too_early[0].text == (
        "NameError: name 'train_imgs' is not defined (run the cells in order, from `tf.reset_default_graph()` on; "
        "%tb shows the traceback)\n"
    )
    errors = "".join(output.text for output in twice if output.name == "stderr")
    assert errors.startswith("ValueError: Variable resnet/block1/conv5_5/weights already exists")
    assert errors.count("\n") == 1
