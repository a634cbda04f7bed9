"""The two searches that need no server: drawn at random, and through everything."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.faults.figures import Figure, Size, judged
from tests.faults.nursery import ROOT
from tests.faults.world import World


def run(world: World, size: Size) -> Figure:
    """Run the state machine of the tests with many more examples, half of them in each of two processes."""
    examples, processes = size.of(short=10, full=10_000), size.of(short=1, full=2)
    with ThreadPoolExecutor(processes) as pool:
        results = list(pool.map(partial(_examples, examples // processes), range(processes)))
    problems = [said[-3000:] for status, said in results if status]
    return judged(f"{len(problems)} violations in {examples:,} examples", *problems)


def _examples(count: int, seed: int) -> tuple[int, str]:
    command = ["pytest", "-q", "-p", "no:cacheprovider", "--no-migrations", f"--hypothesis-seed={seed + 1}"]
    return _python(*command, "tests/refunds/test_state_machine.py", REFUND_STATE_MACHINE_EXAMPLES=str(count))


def search(world: World, size: Size) -> Figure:
    """Visit every state that two workers and three faults can reach."""
    status, said = _python("tests.faults.model_search", "--faults", str(size.of(short=1, full=3)))
    lines = said.strip().splitlines() or ["nothing was said"]
    return judged(lines[0], said[-3000:] if status else "")


def _python(module: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a module in a process of its own, away from this run's servers; return its exit status and what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REFUND_TEST_", "REFUND_FAULTS_", "SHOP_STATE_DIR"))}
    kept |= {"DJANGO_SETTINGS_MODULE": "tests.settings", **environment}
    ended = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, env=kept, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr
