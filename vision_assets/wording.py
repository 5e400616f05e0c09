"""Words in sentences for people."""


def counted(number: float, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{int(number):,} {noun if number == 1 else f'{noun}s'}"
