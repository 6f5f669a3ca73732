"""`python -m selfdrive_dagster` is the same program as `selfdrive`."""

from selfdrive_dagster.cli import main

if __name__ == "__main__":
    main()
