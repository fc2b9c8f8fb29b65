"""`python -m minipod` and the `minipod` command: everything starts in the command line's main."""

from minipod.cli.main import main

if __name__ == "__main__":
    main()
