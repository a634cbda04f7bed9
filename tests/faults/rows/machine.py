"""The two searches that need no server: drawn at random, and through everything."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.faults import model_search
from tests.faults.figures import Figure, Size, judged
from tests.faults.model_protocol import Protocol
from tests.faults.world import ROOT, World

PROCESSES = 2


def run(world: World, size: Size) -> Figure:
    """Run the state machine of the tests with many more examples, half of them in each of two processes."""
    examples = size.of(short=20, full=10_000)
    with ThreadPoolExecutor(PROCESSES) as pool:
        results = list(pool.map(lambda seed: _examples(examples // PROCESSES, seed), range(PROCESSES)))
    problems = [said[-1500:] for status, said in results if status]
    return judged(f"{len(problems)} violations in {examples:,} examples", *problems)


def _examples(count: int, seed: int) -> tuple[int, str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("REFUND_TEST_", "REFUND_FAULTS_", "SHOP_STATE", "CI"))
    }
    environment |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "REFUND_STATE_MACHINE_EXAMPLES": str(count)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-migrations", f"--hypothesis-seed={seed + 1}"]
    ended = subprocess.run(
        [*command, "tests/refunds/test_state_machine.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def search(world: World, size: Size) -> Figure:
    """Visit every state that two workers and three faults can reach."""
    found = model_search.search(Protocol(), faults=size.of(short=1, full=3))
    text = f"{found.states:,} states, {found.steps:,} steps" + ("" if found.violation else ", whole space visited")
    return judged(text, str(found.violation) if found.violation else "")
