"""`python -m scaling.report`."""

from scaling.report.command import main

if __name__ == "__main__":
    main()
