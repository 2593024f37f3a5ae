"""Every command of docs/operate.md works as written: helm and kubectl for real, in the order of the page."""

from __future__ import annotations

import base64
import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from launcher.cli import atb_launch
from tests.apiserver.controller import JobController
from tests.apiserver.http import ApiServer
from tests.apiserver.kubelet import Kubelet, add_node
from tests.apiserver.kubelet import Outcome as Ending
from tests.apiserver.state import KINDS
from tools.unpack import DIRECTORY, find_tool
from trainer.cli import atb

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operate.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line.strip()
]
FOR_CLUSTER = [line for line in COMMANDS if line.startswith(("kubectl", "helm"))]
FOR_CLICK = [line for line in COMMANDS if line.startswith("atb")]
FOR_DOCKER = [line for line in COMMANDS if line.startswith("docker build")]


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    output: str


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    """A cluster of one node, on which every container ends well at once and has said one line."""
    server = ApiServer(token="")  # kubectl sends no token over plain HTTP
    add_node(server.state, "node-1")
    controller = JobController(server.state, "atb").start()
    kubelet = Kubelet(server, "atb", lambda pod: Ending(log=b"one line\n")).start()
    yield server
    kubelet.stop()
    controller.stop()
    server.stop()


@pytest.fixture(scope="module")
def outcomes(api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """The page, typed from top to bottom into one shell's folder."""
    if find_tool("helm") is None or find_tool("kubectl") is None:
        pytest.skip("helm and kubectl are not here; get them with: make tools")
    folder = tmp_path_factory.mktemp("operate")
    (folder / "helm").symlink_to(ROOT / "helm")
    (folder / "store.env").write_text("AWS_ACCESS_KEY_ID=planted\nAWS_SECRET_ACCESS_KEY=planted-too\n")
    (folder / "values.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    environment = {
        "PATH": f"{DIRECTORY}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "KUBECONFIG": str(api.kubeconfig(folder, "default")),
    }
    found = {}
    for line in FOR_CLUSTER:
        answer = subprocess.run(
            ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        found[line] = Outcome(answer.returncode, answer.stdout + answer.stderr)
        if line.startswith("kubectl get configmap"):
            options = yaml.safe_load((folder / "cluster.yaml").read_text())
            assert options["image"] == "registry.example.com/atb-trainer:0.1.0"
    return found


def test_each_command_is_of_a_kind_that_is_tried_here() -> None:
    assert len(COMMANDS) == len(FOR_CLUSTER) + len(FOR_CLICK) + len(FOR_DOCKER) > 20


@pytest.mark.parametrize("line", FOR_CLUSTER)
def test_a_command_for_the_cluster_does_its_work(line: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[line].code == 0, outcomes[line].output


def test_installing_and_testing_went_well_in_five_commands(outcomes: dict[str, Outcome]) -> None:
    section = PAGE.split("## Install in five commands")[1].split("```sh\n")[1].split("```")[0]
    assert len(section.splitlines()) == 5
    said = outcomes["helm test atb --namespace atb --logs"].output
    assert said.count("Succeeded") == 2


def test_the_schedule_can_be_fired_by_hand_and_read_by_its_label(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["kubectl create job --namespace atb --from=cronjob/atb-daily atb-daily-now"].output.strip() == (
        "job.batch/atb-daily-now created"
    )
    read = next(line for line in FOR_CLUSTER if "--selector atb/schedule=daily --tail" in line)
    assert "one line" in outcomes[read].output


def test_uninstalling_leaves_what_helm_did_not_make(outcomes: dict[str, Outcome], api: ApiServer) -> None:
    assert outcomes["helm uninstall atb --namespace atb"].code == 0
    assert api.state.find("cronjobs", "atb", "atb-daily") is None
    assert api.state.find("secrets", "atb", "atb-store") is not None


def test_the_stores_keys_are_in_its_secret_and_nowhere_else(outcomes: dict[str, Outcome], api: ApiServer) -> None:
    said = "".join(outcome.output for outcome in outcomes.values())
    assert "planted" not in said
    kept = {kind for kind in KINDS if "planted" in repr(api.state.items(kind))}
    asked = {request.path for request in api.requests if "planted" in f"{request.path} {request.query}"}
    assert (kept, asked) == (set(), set())
    data = api.state.find("secrets", "atb", "atb-store")
    assert data is not None
    assert base64.b64decode(data["data"]["AWS_ACCESS_KEY_ID"]) == b"planted"


@pytest.mark.parametrize("line", FOR_CLICK)
def test_a_command_of_ours_is_understood(line: str) -> None:
    name, *words = shlex.split(line)
    command: click.Command = {"atb": atb, "atb-launch": atb_launch}[name]
    context = command.make_context(name, words)
    while isinstance(command, click.Group) and (rest := [*context._protected_args, *context.args]):
        sub, command_found, rest = command.resolve_command(context, rest)
        assert command_found is not None
        command = command_found
        context = command.make_context(sub, rest, parent=context)
    assert not context.args


@pytest.mark.parametrize("line", FOR_DOCKER)
def test_an_image_is_built_from_what_the_recipe_has(line: str) -> None:
    words = shlex.split(line)
    recipe = (ROOT / words[words.index("-f") + 1]).read_text()
    for flag, value in itertools.pairwise(words):
        if flag == "--build-arg":
            assert f"ARG {value.partition('=')[0]}" in recipe
        if flag == "--target":
            assert f" AS {value}\n" in recipe
    assert words[-1] == "."
