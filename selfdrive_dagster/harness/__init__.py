"""The programs that run inside the sandbox, with the product's interpreter.

Belongs here: standard library and pytest only. `boot` starts first and calls one program's
`main(spec, emit) -> int`. The host never imports this folder; programs import one another
relatively (`from . import session`). Nothing they say is more than testimony.
"""
