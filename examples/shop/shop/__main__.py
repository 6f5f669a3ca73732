"""Run the shop: `python -m shop --port 8000`."""

import argparse

import uvicorn

from shop import observability


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="shop", description="A small web shop.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    observability.start()
    # Routes are made on import, and the SDKs wrap only what is made after they have started.
    from shop.app import create_app

    application = create_app()
    observability.watch(application)
    uvicorn.run(application, host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
