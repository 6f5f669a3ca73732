"""Validation: does it? A candidate is proven in the sandbox, or the report says what is missing.

A verdict comes from checks alone: all passed makes a repair CERTIFIED and a mitigation
CONTAINED; one failed makes it UNCERTIFIED, or AMBIGUOUS where another repair weighs as much; one
unknown, or too little confidence, makes it INCONCLUSIVE.
"""

from selfdrive_dagster.validation.gate import Proof, prove, prove_if_reproduced
from selfdrive_dagster.validation.policy import POLICY, check_policy

__all__ = ["POLICY", "Proof", "check_policy", "prove", "prove_if_reproduced"]
