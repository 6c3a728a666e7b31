"""Passwords that are tried first: words that everybody takes, stretched to the length demanded.

A list of passwords as they leak is mostly short ones, which are refused for their length
alone. What people do when twelve characters are asked for is a common word, twice, or with
a year, or with digits for letters, or a row of keys. So the words are listed, and what is
done to them is undone.
"""

from __future__ import annotations

import re

_LISTED = """
password passwort passphrase passcode motdepasse contrasena senha letmein welcome login
admin administrator root user test guest default changeme secret master access demo
probewatch probe watch review reviewer auditor audit operator service server system
computer internet company security correcthorsebatterystaple iloveyou sunshine princess
monkey dragon football baseball basketball soccer superman batman starwars pokemon
qwerty qwertz azerty asdf asdfgh zxcvbn qazwsx qwertyuiop asdfghjkl zxcvbnm trustno
michael jennifer jordan charlie daniel thomas jessica ashley summer winter spring autumn
january february march april june july august september october november december
monday tuesday wednesday thursday friday saturday sunday hello whatever freedom shadow
killer hunter cheese cookie chocolate banana flower butterfly purple orange diamond
liverpool chelsea arsenal manchester london berlin paris america google microsoft apple
samsung mustang ferrari mercedes letmeinnow opensesame abracadabra blink nothing
thisismypassword mypassword yourpassword thepassword newpassword oldpassword
"""
_WORDS = frozenset(_LISTED.split())
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789012345678901234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
)
_LETTERS_FOR = str.maketrans("@4031$5!7", "aaoeissit")
_AROUND = re.compile(r"^[^a-z]+|[^a-z]+$")


def is_common(password: str) -> bool:
    """Whether a password is a common word, a row of keys, or either repeated or decorated."""
    plain = password.casefold()
    if len(set(plain)) < 5:
        return True
    forms = {plain, plain.translate(_LETTERS_FOR), _AROUND.sub("", plain)}
    forms |= {_AROUND.sub("", form).translate(_LETTERS_FOR) for form in tuple(forms)}
    return any(_is_row(_once(form)) or _is_words(form) for form in forms)


def _once(text: str) -> str:
    """The shortest piece that gives the text when it is repeated; the last one may be cut."""
    for length in range(1, len(text) // 2 + 1):
        piece = text[:length]
        if (piece * (len(text) // length + 1))[: len(text)] == text:
            return piece
    return text


def _is_row(text: str) -> bool:
    return len(text) > 2 and any(text in row or text in row[::-1] for row in _ROWS)


def _is_words(text: str) -> bool:
    """Whether there is nothing in it but one common word, or two, with anything between."""
    letters = re.sub(r"[^a-z]", "", text)
    if _once(letters) in _WORDS:
        return True
    return any(letters.startswith(word) and letters[len(word) :] in _WORDS for word in _WORDS)
