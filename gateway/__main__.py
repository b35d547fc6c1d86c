"""`python -m gateway …`: the doors' command line, with a house behind it."""

from gateway.serve import serve


def main() -> None:
    serve()


if __name__ == "__main__":
    main()
