"""Custody: where a signer's private key lay, and what a signature then tells of a person.

What only the account had to be had for, a program of that account could have done as well. Does
not belong here: finding it out (`adapters.approving.keys`).
"""

from enum import Enum


class Custody(Enum):
    """Where the private key was, as the account that signed saw it."""

    FILE = "file"
    AGENT = "agent"
    ELSEWHERE = "elsewhere"
    LOCKED = "locked"
    HARDWARE = "hardware"

    @property
    def proves_person(self) -> bool:
        """Whether more than the account was needed to sign."""
        return self in (Custody.LOCKED, Custody.HARDWARE)

    @property
    def says(self) -> str:
        """What that means, as a sentence's end."""
        return SAYS[self]


SAYS = {
    Custody.FILE: "the signing account can read it, so it proves no person",
    Custody.AGENT: "an agent holds it, which any process of the signing account may use, so it "
    "proves no person",
    Custody.ELSEWHERE: "nobody saw where its private half lies, so it proves no person",
    Custody.LOCKED: "it lies behind a passphrase, which had to be known",
    Custody.HARDWARE: "a hardware key holds it, which had to be plugged in and touched",
}
