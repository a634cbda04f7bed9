"""The two searches that need no server: drawn at random, and through everything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.faults.figures import Figure, Size, judged
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
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed + 1}"]
    ended = subprocess.run(
        [*command, "tests/refunds/test_state_machine.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def search(world: World, size: Size) -> Figure:
    """Visit every state that two workers and three faults can reach."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.model_search"], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    said = ended.stdout.strip().splitlines()
    visited = next((line for line in said if re.search(r"\d", line)), "nothing said")
    return judged(visited, (ended.stdout + ended.stderr)[-1500:] if ended.returncode else "")
