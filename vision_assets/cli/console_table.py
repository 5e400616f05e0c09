"""Tables on the console."""

from collections.abc import Sequence


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str]) -> None:
    """Print a table; the columns of the titles in `right` are aligned to the right."""
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    for row in [titles, *rows]:
        cells = [
            cell.rjust(width) if title in right else cell.ljust(width)
            for cell, title, width in zip(row, titles, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())
