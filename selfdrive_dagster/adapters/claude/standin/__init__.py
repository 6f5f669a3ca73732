"""A stand-in for Anthropic's API: a small real server, for rehearsals and for tests.

It speaks the Messages API, streamed and whole, with usage, request ids and errors in the wire's
form, answers from a script and can make every fault. It is no model: it knows nothing of code.

    script     what it answers, read from a TOML file
    wire       messages, events and errors in the wire's form
    faults     every fault, by name
    obeying    a model that does what anybody's text in its prompt asks for
    server     HTTP
"""

from selfdrive_dagster.adapters.claude.standin.script import Reply, Script, read_script
from selfdrive_dagster.adapters.claude.standin.server import Standin, serving

__all__ = ["Reply", "Script", "Standin", "read_script", "serving"]
