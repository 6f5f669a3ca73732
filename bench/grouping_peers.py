"""What others would make of the same events: drain3-improved, type and message, types and frames.

drain3 runs in an environment of the bench's own: it pins old releases of what others need.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import products

from selfdrive_dagster.model import Crash

DRAIN = ("drain3-improved==0.10.0",)
MINER = """
import json, sys
from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig
config = TemplateMinerConfig()
config.masking_instructions = [MaskingInstruction(r"\\b[0-9]+\\b", "NUM")]
miner = TemplateMiner(config=config)
lines = json.load(sys.stdin)
for line in lines:
    miner.add_log_message(line)
found = [miner.match(line, full_search_strategy="fallback") for line in lines]
print(json.dumps([each.cluster_id if each else line for each, line in zip(found, lines)]))
"""


def type_and_message(crashes: Sequence[Crash]) -> list[str]:
    """Return the plain key."""
    return [f"{crash.raised.type}: {crash.raised.value}" for crash in crashes]


def type_and_frames(crashes: Sequence[Crash]) -> list[str]:
    """Return the key of common trackers: the types, and module and function of each own frame."""
    keys = []
    for crash in crashes:
        frames = [frame for each in crash.exceptions for frame in each.frames]
        own = [frame for frame in frames if frame.in_app] or frames
        places = [f"{frame.module or frame.path}.{frame.function}" for frame in own]
        keys.append(" ".join([*(each.type for each in crash.exceptions), *places]))
    return keys


def drain(crashes: Sequence[Crash], cache: Path) -> list[str]:
    """Return drain3-improved's clusters of `type: message`. Raises NotToBeHad."""
    python = products.interpreter("drain3", DRAIN, cache)
    told = json.dumps([line.replace("\n", " ") for line in type_and_message(crashes)])
    done = subprocess.run(
        [python, "-c", MINER], input=told, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise products.NotToBeHad(done.stderr.strip().splitlines()[-1])
    return [str(each) for each in json.loads(done.stdout)]
